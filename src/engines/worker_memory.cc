#include "engines/worker_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace sluice::engines {

std::optional<WorkerMemory> WorkerMemory::make(std::size_t size) {
  WorkerMemory out;
  out.descriptor_ = Fd(::memfd_create("sluice-worker", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  const int fd = out.descriptor_.get();
  if (fd < 0 || ::ftruncate(fd, static_cast<off_t>(size)) != 0) return {};
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (::fcntl(fd, F_ADD_SEALS, kSeals) != 0) return {};
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return {};
  out.mapping_ = std::shared_ptr<const void>(
      at, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  out.bytes_ = {static_cast<std::byte*>(at), size};
  return out;
}

}  // namespace sluice::engines
