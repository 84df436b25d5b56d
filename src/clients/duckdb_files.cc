#include "clients/duckdb_files.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/names.h"
#include "base/text.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

Failure bad_table(const fs::path& file, std::string_view what) {
  return invalid("bad_table", shown_name(file) + " " + std::string(what));
}

Failure system_failure(const fs::path& file, int error) {
  if (error == ENOENT || error == ENOTDIR) {
    return not_found("no_table",
                     "there is no file " + shown_name(file) + "; check its name and its directory");
  }
  const bool refused = error == EACCES || error == EPERM || error == ELOOP;
  return fail(refused ? Code::kInvalidArgument : Code::kUnavailable, "unreadable",
              shown_name(file) + " cannot be read: " + std::strerror(error));
}

// glob's own list, given back.
struct Matches {
  glob_t list{};
  Matches() = default;
  Matches(const Matches&) = delete;
  Matches& operator=(const Matches&) = delete;
  ~Matches() { ::globfree(&list); }
};

constexpr std::string_view kMagic = "PAR1";  // at both ends of a Parquet file
// Both, and between them a footer's length and at least a footer.
constexpr off_t kLeastParquet = 12;

Result<bool> has_magic(const fs::path& file, const Fd& fd, off_t place) {
  std::array<char, kMagic.size()> bytes{};
  const auto got = ::pread(fd.get(), bytes.data(), bytes.size(), place);
  if (got < 0) return system_failure(file, errno);
  return std::string_view(bytes.data(), static_cast<std::size_t>(got)) == kMagic;
}

Result<void> check_parquet(const fs::path& file, const Fd& fd, off_t size) {
  constexpr auto length = static_cast<off_t>(kMagic.size());
  SLUICE_TRY(const bool begins, has_magic(file, fd, 0));
  if (!begins) {
    return bad_table(file, "is not a Parquet file; check that it is what its ending says");
  }
  SLUICE_TRY(const bool ends, has_magic(file, fd, size - length));
  if (size >= kLeastParquet && ends) return {};
  return bad_table(file,
                   "is cut off: a Parquet file has its columns at its end, and that is missing; "
                   "copy it again when it has been written to its end");
}

}  // namespace

std::string_view format_name(TableFormat format) {
  switch (format) {
    case TableFormat::kParquet: return "Parquet";
    case TableFormat::kCsv: return "CSV";
    case TableFormat::kJsonLines: break;
  }
  return "JSON lines";
}

std::string shown_name(const fs::path& file) {
  const fs::path named = file.has_filename() ? file : file.parent_path();  // "days/"
  return "'" + printable(named.filename().string(), 128) + "'";
}

Result<TableFormat> table_format(const fs::path& file) {
  const std::string ending = file.extension();
  if (iequals(ending, ".parquet")) return TableFormat::kParquet;
  if (iequals(ending, ".csv")) return TableFormat::kCsv;
  if (iequals(ending, ".jsonl") || iequals(ending, ".ndjson")) return TableFormat::kJsonLines;
  return bad_table(file,
                   "does not say what kind of table it is: its name should end with .parquet, "
                   ".csv, .jsonl or .ndjson");
}

Result<std::vector<fs::path>> table_files(const fs::path& pattern) {
  std::error_code ignored;
  if (fs::exists(pattern, ignored)) return std::vector{pattern};
  Matches matches;
  switch (::glob(pattern.c_str(), GLOB_ERR, nullptr, &matches.list)) {
    case 0: break;
    case GLOB_NOMATCH: return system_failure(pattern, ENOENT);
    case GLOB_NOSPACE: return system_failure(pattern, ENOMEM);
    // A folder that cannot be read, or is not there.
    default: return system_failure(pattern, errno == 0 ? EACCES : errno);
  }
  std::vector<fs::path> files(matches.list.gl_pathv, matches.list.gl_pathv + matches.list.gl_pathc);
  std::ranges::sort(files, [](const fs::path& a, const fs::path& b) {
    return natural_compare(a.native(), b.native()) < 0;
  });
  return files;
}

Result<OpenTable> open_table(const fs::path& file, TableFormat format) {
  // O_NONBLOCK: a FIFO is opened at once, and refused.
  Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_failure(file, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure(file, errno);
  if (!S_ISREG(info.st_mode)) return bad_table(file, "is not a file; expected a file with a table");
  if (info.st_size == 0) return bad_table(file, "is empty; expected a table");
  if (format == TableFormat::kParquet) SLUICE_CHECK(check_parquet(file, fd, info.st_size));
  return OpenTable{std::move(fd), file, format};
}

}  // namespace sluice::clients
