#include "engines/onnx_optimize.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "engines/onnx_environment.h"
#include "engines/onnx_words.h"

namespace sluice::engines {
namespace {

namespace fs = std::filesystem;

// Why `to`, which ONNX Runtime has begun to write, has no room for twice as much as `from` is; 0:
// it has. ONNX Runtime says of a full disk only that protobuf's serialization failed, as it does of
// models beyond protobuf's 2 GiB.
int no_room(const fs::path& from, const fs::path& to) {
  std::error_code error;
  const auto size = fs::file_size(from, error);
  if (error) return 0;
  const Fd fd(::open(to.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) return 0;
  const int failed = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(2 * size));
  return failed == ENOSPC || failed == EFBIG || failed == EDQUOT ? failed : 0;
}

}  // namespace

Result<void> save_optimized(const std::filesystem::path& from, const std::filesystem::path& to,
                            bool extended) {
  try {
    const auto environment = onnx_environment();
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    options.SetGraphOptimizationLevel(extended ? ORT_ENABLE_EXTENDED : ORT_ENABLE_BASIC);
    options.SetOptimizedModelFilePath(to.c_str());
    const Ort::Session session(*environment, from.c_str(), options);
    return {};
  } catch (const Ort::Exception& error) {
    const int full = no_room(from, to);
    std::error_code ignored;
    fs::remove(to, ignored);  // half a model
    if (full != 0) {
      return unavailable("unwritable",
                         "the new version cannot be written: " + std::string(std::strerror(full)) +
                             "; check that its disk has room");
    }
    return invalid("bad_model",
                   "ONNX Runtime cannot optimize the model: " + first_sentence(error.what()));
  }
}

}  // namespace sluice::engines
