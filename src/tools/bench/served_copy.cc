#include "tools/bench/served_copy.h"

#include <cstdlib>
#include <fstream>
#include <system_error>

#include "base/file.h"
#include "base/text.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;

// Where a model's parts are.
struct Parts {
  fs::path config;     // model.yaml, which need not exist
  fs::path directory;  // of the version
  std::string file;    // empty: the whole directory is the version's
};

Result<Parts> find_parts(const ModelPlace& model) {
  std::error_code ignored;
  const auto path = fs::weakly_canonical(model.path, ignored);
  if (fs::is_regular_file(path, ignored)) {
    const auto version = path.parent_path();
    const auto directory = version.parent_path();
    if (path.stem() == "model" && version.filename() == model.version &&
        directory.filename() == model.name) {
      return Parts{directory / "model.yaml", version, {}};
    }
    return Parts{{}, version, path.filename()};
  }
  const auto named = path / model.name;
  const auto directory = fs::is_directory(named, ignored) ? named : path;
  const auto config = directory / "model.yaml";
  if (const auto version = directory / model.version; fs::is_directory(version, ignored)) {
    return Parts{config, version, {}};
  }
  // A flat file in a repository, or a directory that is its own version.
  if (directory == path) {
    for (fs::directory_iterator it(path, ignored), end; it != end; it.increment(ignored)) {
      if (it->is_regular_file(ignored) && it->path().stem() == model.name) {
        return Parts{{}, path, it->path().filename()};
      }
    }
  }
  if (fs::is_directory(directory, ignored)) return Parts{config, directory, {}};
  return not_found("no_such_path", "the model's files are not where they were");
}

// External weights lie beside a file and are called after it.
bool belongs_to(const std::string& name, const std::string& file) {
  if (name == file) return true;
  const auto stem = file.substr(0, file.rfind('.'));
  return name.starts_with(stem) && (name.ends_with(".bin") || name.ends_with("data"));
}

std::error_code link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to, error);
  return error;
}

}  // namespace

Result<TemporaryDirectory> TemporaryDirectory::make() {
  std::error_code error;
  std::string pattern = (fs::temp_directory_path(error) / "sluice-sweep-XXXXXX").string();
  if (error || mkdtemp(pattern.data()) == nullptr) {
    return internal("no temporary directory can be made");
  }
  return TemporaryDirectory(pattern);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

std::string with_batching(std::string_view yaml, std::string_view batching) {
  std::string out;
  bool inside = false;  // of the key's own block
  for (const auto line : split(yaml, '\n')) {
    const bool nested = line.empty() || line[0] == ' ' || line[0] == '\r' || line[0] == '}';
    inside = line.starts_with("batching:") || (inside && nested);
    if (!inside) out.append(line).append("\n");
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out.append("batching: ").append(batching).append("\n");
}

Result<void> copy_model(const ModelPlace& model, std::string_view batching, const fs::path& to) {
  SLUICE_TRY(const auto parts, find_parts(model));
  std::string yaml;
  std::error_code error;
  if (!parts.config.empty() && fs::exists(parts.config, error)) {
    SLUICE_TRY(yaml, read_text(parts.config, kMaxConfig, "model.yaml"));
  }
  const auto directory = to / model.name;
  const auto version = directory / model.version;
  fs::create_directories(version, error);
  std::ofstream(directory / "model.yaml") << with_batching(yaml, batching);
  for (fs::directory_iterator it(parts.directory, error), end; !error && it != end;
       it.increment(error)) {
    const auto name = it->path().filename().string();
    std::error_code ignored;
    if (!it->is_regular_file(ignored) || name == "model.yaml") continue;
    if (!parts.file.empty() && !belongs_to(name, parts.file)) continue;
    if (const auto failed = link_or_copy(it->path(), version / name)) error = failed;
  }
  if (error) return internal("the model cannot be copied to be measured: " + error.message());
  return {};
}

}  // namespace sluice::tools
