#include "tools/batch/join.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/batch/file_bytes.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

Failure unwritable(const fs::path& file, int error) {
  return unavailable("unwritable", clients::shown_name(file) +
                                       " cannot be written: " + std::strerror(error) +
                                       "; check its directory and that its disk has room");
}

Result<Fd> open_part(const fs::path& path) {
  Fd out(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (out) return out;
  return unavailable("unreadable",
                     "a part of the output cannot be read: " + std::string(std::strerror(errno)) +
                         "; go on with --resume, which makes it again");
}

Result<void> join_parquet(const std::vector<fs::path>& parts, const Fd& to) {
  ParquetJoin join(to);
  for (const auto& path : parts) {
    SLUICE_TRY(const auto part, open_part(path));
    SLUICE_TRY(const auto footer, read_footer(part, clients::shown_name(path)));
    SLUICE_CHECK(join.add({part, footer}));
  }
  return join.finish();
}

Result<void> join_lines(const std::vector<fs::path>& parts, const Fd& to) {
  for (const auto& path : parts) {
    SLUICE_TRY(const auto part, open_part(path));
    const auto name = clients::shown_name(path);
    SLUICE_TRY(const auto size, size_of_file(part, name));
    ByteWriter writer(to);
    SLUICE_CHECK(writer.copy(part, 0, size, name));
    SLUICE_CHECK(writer.flush());
  }
  return {};
}

}  // namespace

Result<std::uint64_t> join_parts(const std::vector<fs::path>& parts, clients::TableFormat format,
                                 const fs::path& output) {
  const fs::path draft = output.native() + ".tmp";
  const Fd to(::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!to) return unwritable(output, errno);
  auto joined =
      format == clients::TableFormat::kParquet ? join_parquet(parts, to) : join_lines(parts, to);
  if (!joined) {
    ::unlink(draft.c_str());
    return Failure(std::move(joined).error());
  }
  struct stat state {};
  if (::fsync(to.get()) != 0 || ::fstat(to.get(), &state) != 0 ||
      ::rename(draft.c_str(), output.c_str()) != 0) {
    const int error = errno;
    ::unlink(draft.c_str());
    return unwritable(output, error);
  }
  const auto parent = output.parent_path();
  const auto directory = open_directory(parent.empty() ? fs::path(".") : parent);
  if (!directory || ::fsync(directory->get()) != 0) return unwritable(output, errno);
  return static_cast<std::uint64_t>(state.st_size);
}

}  // namespace sluice::tools::batch
