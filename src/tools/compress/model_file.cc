#include "tools/compress/model_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "tools/batch/file_bytes.h"

namespace sluice::tools::compress {
namespace {

Failure unwritable() {
  return unavailable("unwritable",
                     "the new version cannot be written: " + std::string(std::strerror(errno)) +
                         "; check that its disk has room");
}

}  // namespace

Result<void> write_model_file(const std::filesystem::path& file, std::string_view bytes) {
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return unwritable();
  if (!ByteWriter(fd).write(bytes)) return unwritable();
  return ::fsync(fd.get()) == 0 ? Result<void>() : unwritable();
}

}  // namespace sluice::tools::compress
