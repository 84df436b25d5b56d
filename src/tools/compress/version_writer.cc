#include "tools/compress/version_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "tools/batch/file_bytes.h"
#include "tools/compress/model_file.h"
#include "tools/yaml/model_yaml_blocks.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReport = "report.json";
constexpr const char* kPage = "report.html";

Failure unwritable(const std::string& why) {
  return unavailable("unwritable", "the new version cannot be written: " + why +
                                       "; check its folder and that its disk has room");
}

std::string quoted(const std::string& text) {
  std::string out;
  JsonWriter(out).value(std::string_view(text));
  return out;
}

std::string provenance(const Report& report) {
  return "compressed:\n  from: " + yaml_name(report.model) +
         "\n  sha256: " + quoted(report.sha256) + "\n  method: " + quoted(report.method) +
         "\n  report: " + kReport + "\n  created: " + quoted(report.created) + "\n";
}

// Not fs::copy_file: of a full disk that says "Input/output error".
Result<void> copy_one(const fs::path& from, const fs::path& to) {
  const Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!source) return unwritable(std::strerror(errno));
  SLUICE_TRY(const auto size, size_of_file(source, "what was made"));
  const Fd target(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!target) return unwritable(std::strerror(errno));
  ByteWriter writer(target);
  SLUICE_CHECK(writer.copy(source, 0, size, "what was made"));
  if (!writer.flush() || ::fsync(target.get()) != 0) return unwritable(std::strerror(errno));
  return {};
}

Result<void> copy_files(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from, error)) {
    SLUICE_CHECK(copy_one(entry.path(), to / entry.path().filename()));
  }
  return error ? Result<void>(unwritable(error.message())) : Result<void>();
}

Result<void> fill(const fs::path& draft, const NewVersion& version, const Report& report) {
  SLUICE_TRY(const auto yaml,
             put_into_model_yaml(version.yaml, {{"compressed", provenance(report)}},
                                 "where the version comes from does not fit: "));
  SLUICE_CHECK(copy_files(version.made.parent_path(), draft));
  SLUICE_CHECK(write_model_file(draft / "model.yaml", yaml.text));
  SLUICE_CHECK(write_model_file(draft / kReport, json_text(report_json(report), 2) + "\n"));
  SLUICE_CHECK(write_model_file(draft / kPage, report_page(report)));
  const auto directory = open_directory(draft);
  if (!directory || ::fsync(directory->get()) != 0) return unwritable(std::strerror(errno));
  return {};
}

}  // namespace

Result<void> write_version(const NewVersion& version, const Report& report) {
  std::error_code error;
  const fs::path output = version.output.lexically_normal();
  if (fs::exists(output, error) && !fs::is_empty(output, error)) {
    return invalid("exists",
                   "there is something in the folder of --output already; give the "
                   "version another name, or remove it");
  }
  fs::path parent = output.parent_path();
  if (parent.empty()) parent = ".";
  fs::create_directories(parent, error);
  // Names that begin with a dot are no version to a server that looks.
  const fs::path draft =
      parent / ("." + output.filename().string() + "." + std::to_string(::getpid()));
  if (!fs::create_directory(draft, error)) return unwritable(error.message());
  auto filled = fill(draft, version, report);
  if (filled && ::rename(draft.c_str(), output.c_str()) != 0) {
    filled = unwritable(std::strerror(errno));
  }
  if (!filled) {
    fs::remove_all(draft, error);
    return filled;
  }
  const auto directory = open_directory(parent);
  if (directory) ::fsync(directory->get());
  return {};
}

}  // namespace sluice::tools::compress
