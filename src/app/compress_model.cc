#include "app/compress_model.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/names.h"
#include "base/text.h"
#include "config/yaml.h"
#include "engines/onnx_scan.h"
#include "sources/layout.h"
#include "sources/version_files.h"

extern char** environ;

namespace sluice::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;

Failure unwritable() {
  return unavailable("unwritable",
                     "the folder of temporary files cannot be written; check TMPDIR and its disk");
}

// Model files of a folder, by their name: model.* before any other.
Result<fs::path> file_of(const fs::path& folder) {
  std::vector<fs::path> named;
  std::vector<fs::path> others;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto ending = entry.path().extension();
    const bool model = ending == ".onnx" || ending == ".json" || ending == ".ubj" ||
                       ending == ".pkl" || ending == ".joblib" || ending == ".bst";
    const std::string stem = entry.path().stem().string();
    if (!model || stem == "report") continue;
    (stem == "model" ? named : others).push_back(entry.path());
  }
  const auto& found = named.empty() ? others : named;
  if (found.size() == 1) return found[0];
  return invalid("usage", found.empty() ? "there is no model in that folder; name the model's file"
                                        : "there are several models in that folder; name the one");
}

// The newest folder in it that is called like a version.
Result<fs::path> version_of(const fs::path& folder, const std::string& wanted) {
  std::vector<std::string> versions;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto name = entry.path().filename().string();
    if (entry.is_directory(error) && sources::looks_like_version(name)) versions.push_back(name);
  }
  if (versions.empty()) return folder;
  if (!wanted.empty()) {
    if (std::ranges::find(versions, wanted) != versions.end()) return folder / wanted;
    return not_found("no_model", "the model has no version '" + printable(wanted) + "'; it has " +
                                     join_and(versions));
  }
  std::ranges::sort(versions, [](const std::string& a, const std::string& b) {
    return natural_compare(a, b) < 0;
  });
  return folder / versions.back();
}

Result<std::string> read_yaml(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return std::string();
  return read_text(file, kMaxConfig, "model.yaml");
}

Result<void> check_whole(const FoundModel& found) {
  Problems problems;
  const auto root = config::parse_yaml(found.yaml, problems);
  const bool in_yaml = root && root->find("ensemble") != nullptr;
  if (!in_yaml && !sources::is_pipeline(found.file.filename().string())) return {};
  return invalid("usage",
                 "this is a pipeline; compress the models that it is made of, one at a time");
}

// Hard links where that can be done: what is only read needs no copy.
Result<void> bring(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_directories(to.parent_path(), error);
  fs::create_hard_link(from, to, error);
  if (!error) return {};
  fs::copy_file(from, to, error);
  return error ? Result<void>(unwritable()) : Result<void>();
}

// The file and, of ONNX, those that its weights are in, relative to its folder. Names that lead
// outside are left to the engine, which refuses them.
std::vector<fs::path> files_of(const fs::path& file) {
  std::vector<fs::path> out = {file.filename()};
  if (file.extension() != ".onnx") return out;
  const auto fd = std::make_shared<Fd>(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*fd) return out;
  const auto bytes = FileBytes::map(fd, "the model's file");
  if (!bytes) return out;
  const auto facts = engines::scan_onnx(bytes->text());
  if (!facts) return out;
  for (const auto& name : facts->external_files) {
    const auto path = fs::path(name).lexically_normal();
    if (path.is_relative() && !path.empty() && *path.begin() != "..") out.push_back(path);
  }
  return out;
}

std::string all_of(const Fd& from) {
  std::string out;
  std::array<char, 4096> block{};
  while (true) {
    const auto got = ::read(from.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return out;
    out.append(block.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace

Result<Scratch> Scratch::make() {
  std::error_code error;
  const auto root = fs::temp_directory_path(error);
  std::string pattern = ((error ? fs::path("/tmp") : root) / "sluice-compress-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) return unwritable();
  Scratch out;
  out.path_ = pattern;
  return out;
}

Scratch::~Scratch() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<fs::path> Scratch::folder() {
  fs::path out = path_ / std::to_string(++count_);
  std::error_code error;
  if (!fs::create_directory(out, error)) return unwritable();
  return out;
}

Result<FoundModel> find_model(const std::string& given, const std::string& models,
                              const std::string& version) {
  std::error_code error;
  fs::path path = given;
  if (!fs::exists(path, error)) path = fs::path(models) / given;
  if (!fs::exists(path, error)) {
    return not_found("no_model",
                     "there is no model of that name; give a model's file, a folder, or the name "
                     "of one in --models");
  }
  path = fs::absolute(path, error).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  FoundModel out;
  fs::path folder = path;
  if (fs::is_directory(path, error)) {
    SLUICE_TRY(folder, version_of(path, version));
    const bool pipeline =
        fs::exists(folder / sources::kPipeline, error);  // whatever models lie beside it
    SLUICE_TRY(out.file,
               pipeline ? Result<fs::path>(folder / sources::kPipeline) : file_of(folder));
  } else {
    out.file = path;
    folder = path.parent_path();
  }
  const bool in_version = sources::looks_like_version(folder.filename().string());
  out.version = in_version ? folder.filename().string() : "1";
  const bool own_folder = in_version || path == folder || out.file.stem() == "model";
  out.model = in_version   ? folder.parent_path().filename().string()
              : own_folder ? folder.filename().string()
                           : out.file.stem().string();
  if (own_folder) {
    // What a compressed version brought along counts before what stands above it.
    SLUICE_TRY(out.yaml, read_yaml(folder / "model.yaml"));
    if (out.yaml.empty() && in_version) {
      SLUICE_TRY(out.yaml, read_yaml(folder.parent_path() / "model.yaml"));
    }
  }
  SLUICE_CHECK(check_whole(out));
  out.bytes = bytes_of(out.file);
  return out;
}

Result<OpenedModel> open_alone(const fs::path& file, const FoundModel& like, Scratch& scratch,
                               const LoadFlags& load_flags) {
  SLUICE_TRY(const auto root, scratch.folder());
  const fs::path model = root / like.model;
  const fs::path version = model / like.version;
  std::error_code error;
  if (!fs::create_directories(version, error)) return unwritable();
  for (const auto& one : files_of(file)) {
    const bool main = one == file.filename();
    // Whatever it is called: the only model of its version.
    SLUICE_CHECK(
        bring(file.parent_path() / one,
              version / (main ? fs::path("model").replace_extension(file.extension()) : one)));
  }
  if (!like.yaml.empty()) {
    std::FILE* const out = std::fopen((model / "model.yaml").c_str(), "w");
    const bool written = out != nullptr && std::fputs(like.yaml.c_str(), out) >= 0;
    if (out == nullptr || std::fclose(out) != 0 || !written) return unwritable();
  }
  OpenedModel opened;
  SLUICE_TRY(opened.stack, Stack::open(model.string(), load_flags));
  SLUICE_CHECK(opened.stack->load());
  const auto table = opened.stack->tables().get();
  for (const auto& [name, entry] : table->models) {
    if (!entry->ready.empty()) {
      opened.servable = entry->ready.back();
      return opened;
    }
    return Failure(opened.stack->why_not(*entry));
  }
  return invalid("bad_model", "there is no model in the file");
}

std::uint64_t bytes_of(const fs::path& file) {
  std::uint64_t out = 0;
  std::error_code error;
  for (const auto& one : files_of(file)) {
    const auto size = fs::file_size(file.parent_path() / one, error);
    if (!error) out += size;
  }
  return out;
}

std::uint64_t peak_of_loading(const fs::path& file, const LoadFlags& load_flags) {
  std::vector<std::string> words = {"sluice", "inspect", file.string(), "--json"};
  if (load_flags.allow_pickle) words.emplace_back("--allow-pickle");
  if (!load_flags.python.empty()) words.insert(words.end(), {"--python", load_flags.python});
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return 0;
  const Fd from(ends[0]);
  Fd to(ends[1]);
  posix_spawn_file_actions_t redirected;
  posix_spawn_file_actions_init(&redirected);
  posix_spawn_file_actions_adddup2(&redirected, to.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&redirected, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, "/proc/self/exe", &redirected, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&redirected);
  to = Fd();
  if (failed != 0) return 0;
  const auto said = nlohmann::json::parse(all_of(from), nullptr, false);
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0 || !said.is_object()) return 0;
  const auto found = said.find("peak_memory_bytes");
  return found != said.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

}  // namespace sluice::app
