#include "base/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/passing_errors.h"

namespace sluice {
namespace {

// The system's words for an error number never contain a path.
Failure system_failure(std::string_view what, int error) {
  Code code = error == ENOENT || error == ENOTDIR ? Code::kNotFound : Code::kInvalidArgument;
  if (is_passing(error)) code = Code::kUnavailable;
  const std::string_view reason = error == EXDEV || error == ELOOP ? "unsafe_path" : "unreadable";
  std::string why = std::strerror(error);
  if (error == EXDEV || error == ELOOP) why = "it leads outside its directory";
  return fail(code, reason, std::string(what) + " cannot be opened: " + why);
}

Result<struct stat> regular_file(const Fd& fd, std::string_view what) {
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return system_failure(what, errno);
  if (!S_ISREG(info.st_mode)) {
    const char* kind = S_ISDIR(info.st_mode) ? "a directory" : "not a regular file";
    return invalid("unsafe_path", std::string(what) + " is " + kind + "; expected a file");
  }
  return info;
}

constexpr int kReadOnly = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

// openat2's promise without openat2: one component after the other, none of them a symbolic link.
Result<Fd> open_step_by_step(const Fd& directory, const std::filesystem::path& relative) {
  if (relative.is_absolute() || relative.empty()) return system_failure("the file", EXDEV);
  Fd at;
  for (const auto& part : relative) {
    if (part == "..") return system_failure("the file", EXDEV);
    Fd next(::openat(at ? at.get() : directory.get(), part.c_str(), kReadOnly | O_NOFOLLOW));
    if (!next) return system_failure("the file", errno);
    at = std::move(next);
  }
  return at;
}

}  // namespace

Fd::~Fd() {
  if (fd_ >= 0) ::close(fd_);
}

namespace {

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

Failure changing(std::string_view what) {
  return unavailable("changing", std::string(what) + " changed while it was read");
}

// All `size` bytes of `from`, without a detour through this process.
Result<void> transfer(const Fd& from, const Fd& to, std::size_t size, std::string_view what) {
  off_t offset = 0;
  while (static_cast<std::size_t>(offset) < size) {
    const auto sent = ::sendfile(to.get(), from.get(), &offset, size - offset);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return system_failure(what, errno);
    if (sent == 0) return changing(what);
  }
  return {};
}

bool is_sealed(const Fd& fd) {
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  return seals >= 0 && (seals & F_SEAL_WRITE) != 0;
}

}  // namespace

Result<FileBytes> FileBytes::copy(const Fd& fd, std::string_view what) {
  SLUICE_TRY(const auto before, regular_file(fd, what));
  if (before.st_size == 0) return FileBytes();
  auto copied =
      std::make_shared<Fd>(::memfd_create("sluice-model", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!*copied) return system_failure(what, errno);
  SLUICE_CHECK(transfer(fd, *copied, static_cast<std::size_t>(before.st_size), what));
  SLUICE_TRY(const auto after, regular_file(fd, what));
  if (!same_file(before, after)) return changing(what);
  if (::fcntl(copied->get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return system_failure(what, errno);
  }
  return of_copy(std::move(copied));
}

Result<FileBytes> FileBytes::map(std::shared_ptr<const Fd> fd, std::string_view what) {
  SLUICE_TRY(const auto info, regular_file(*fd, what));
  FileBytes out;
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size == 0) return out;
  // Shared tells it from what libraries map of the same file (base/mapping.h); what is sealed
  // against writing can only be mapped so since Linux 6.7.
  const int kind = is_sealed(*fd) ? MAP_PRIVATE : MAP_SHARED;
  void* at = ::mmap(nullptr, size, PROT_READ, kind, fd->get(), 0);
  if (at == MAP_FAILED) return system_failure(what, errno);
  out.mapping_ = std::shared_ptr<const void>(
      at, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  out.bytes_ = {static_cast<const std::byte*>(at), size};
  out.descriptor_ = std::move(fd);
  return out;
}

bool FileBytes::sealed() const { return descriptor_ && is_sealed(*descriptor_); }

Result<FileBytes> FileBytes::of_copy(std::shared_ptr<const Fd> fd) {
  return map(std::move(fd), "the copy of the model file");
}

Result<Fd> open_directory(const std::filesystem::path& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return system_failure("the directory", errno);
  return fd;
}

Result<Fd> open_beneath(const Fd& directory, const std::filesystem::path& relative) {
  struct open_how how {};
  how.flags = kReadOnly;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  Fd fd(static_cast<int>(
      ::syscall(SYS_openat2, directory.get(), relative.c_str(), &how, sizeof(how))));
  // Kernels before 5.6, some sandboxes and valgrind do not have it.
  if (!fd && (errno == ENOSYS || errno == EPERM)) return open_step_by_step(directory, relative);
  if (!fd) return system_failure("the file", errno);
  return fd;
}

Result<std::string> read_text(const Fd& fd, std::size_t limit, std::string_view what) {
  SLUICE_TRY(const auto info, regular_file(fd, what));
  if (static_cast<std::uint64_t>(info.st_size) > limit) {
    return invalid("too_large",
                   std::string(what) + " is larger than " + std::to_string(limit) + " bytes");
  }
  std::string out(static_cast<std::size_t>(info.st_size), '\0');
  std::size_t done = 0;
  while (done < out.size()) {
    const auto got = ::read(fd.get(), out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_failure(what, errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  out.resize(done);
  return out;
}

Result<std::string> read_text(const std::filesystem::path& path, std::size_t limit,
                              std::string_view what) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return system_failure(what, errno);
  return read_text(fd, limit, what);
}

}  // namespace sluice
