#include "tools/batch/memory_files.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <vector>

namespace sluice::tools::batch {

Result<Fd> memory_file(const char* what) {
  Fd out(::memfd_create(what, MFD_CLOEXEC));
  if (out) return out;
  return fail(Code::kResourceExhausted, "too_large",
              "there is no memory for a part of the table; use fewer --workers");
}

struct MemoryFiles::Shelf {
  const char* what;
  std::mutex mutex;
  std::vector<std::unique_ptr<const Fd>> idle;  // guarded by mutex
};

MemoryFiles::MemoryFiles(const char* what) : shelf_(std::make_shared<Shelf>()) {
  shelf_->what = what;
}

Result<std::shared_ptr<const Fd>> MemoryFiles::take() {
  std::unique_ptr<const Fd> file;
  {
    const std::lock_guard lock(shelf_->mutex);
    if (!shelf_->idle.empty()) {
      file = std::move(shelf_->idle.back());
      shelf_->idle.pop_back();
    }
  }
  if (!file) {
    SLUICE_TRY(auto made, memory_file(shelf_->what));
    file = std::make_unique<const Fd>(std::move(made));
  }
  rewind(*file);
  return std::shared_ptr<const Fd>(file.release(), [shelf = shelf_](const Fd* fd) {
    const std::lock_guard lock(shelf->mutex);
    shelf->idle.emplace_back(fd);
  });
}

void rewind(const Fd& fd) { ::lseek(fd.get(), 0, SEEK_SET); }

Result<void> cut_behind(const Fd& fd) {
  const auto at = ::lseek(fd.get(), 0, SEEK_CUR);
  if (at >= 0 && ::ftruncate(fd.get(), at) == 0) return {};
  return unavailable("unwritable",
                     std::string("the output cannot be written: ") + std::strerror(errno));
}

}  // namespace sluice::tools::batch
