#include "clients/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/names.h"

namespace sluice::clients {
namespace {

Failure bad(std::string_view what) {
  return invalid("bad_shared_memory", "shared memory: " + std::string(what));
}

Result<void> check(const SharedMemory::Region& region) {
  if (!is_token(region.name)) return bad("the region's name is not valid");
  std::string_view key = region.key;
  if (key.starts_with('/')) key.remove_prefix(1);
  if (!is_token(key)) return bad("the key is not valid");
  if (region.size == 0 || region.size > SharedMemory::kMaxBytes) {
    return bad("byte_size must be above zero and at most 2 GiB");
  }
  if (!checked_add(region.offset, region.size)) return bad("offset and byte_size are too large");
  return {};
}

// False when there is less than wanted, as after the client has shrunk it.
bool read_all(int fd, std::span<std::byte> to, std::uint64_t offset) {
  while (!to.empty()) {
    const auto got = ::pread(fd, to.data(), to.size(), static_cast<off_t>(offset));
    if (got <= 0) return false;
    to = to.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

}  // namespace

Result<void> SharedMemory::check_enabled() const {
  if (enabled_) return {};
  return fail(Code::kUnimplemented, "not_enabled",
              "shared memory of clients needs the server to be started with --allow-client-shm");
}

Result<void> SharedMemory::add(const Region& region) {
  SLUICE_CHECK(check_enabled());
  SLUICE_CHECK(check(region));
  const std::string key = region.key.starts_with('/') ? region.key : "/" + region.key;
  Fd fd(::shm_open(key.c_str(), O_RDWR | O_CLOEXEC, 0));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return bad("there is no region with this key that can be opened");
  }
  if (static_cast<std::uint64_t>(info.st_size) < region.offset + region.size) {
    return bad("offset and byte_size reach beyond the region's end");
  }
  const std::lock_guard lock(mutex_);
  if (regions_.contains(region.name)) {
    return fail(Code::kAlreadyExists, "bad_shared_memory",
                "shared memory: a region with this name is registered already");
  }
  if (regions_.size() >= kMaxRegions) return bad("there are too many regions");
  regions_[region.name] = std::make_shared<const Opened>(Opened{region, std::move(fd)});
  return {};
}

Result<void> SharedMemory::remove(std::string_view name) {
  SLUICE_CHECK(check_enabled());
  const std::lock_guard lock(mutex_);
  if (const auto found = regions_.find(name); found != regions_.end()) regions_.erase(found);
  return {};
}

Result<void> SharedMemory::remove_all() {
  SLUICE_CHECK(check_enabled());
  const std::lock_guard lock(mutex_);
  regions_.clear();
  return {};
}

Result<std::vector<SharedMemory::Region>> SharedMemory::list(std::string_view name) const {
  SLUICE_CHECK(check_enabled());
  const std::lock_guard lock(mutex_);
  std::vector<Region> out;
  for (const auto& [key, opened] : regions_) {
    if (name.empty() || key == name) out.push_back(opened->region);
  }
  if (!name.empty() && out.empty()) {
    return not_found("bad_shared_memory", "shared memory: no region has this name");
  }
  return out;
}

Result<std::shared_ptr<const SharedMemory::Opened>> SharedMemory::find(
    const MemoryRef& part) const {
  SLUICE_CHECK(check_enabled());
  std::shared_ptr<const Opened> opened;
  {
    const std::lock_guard lock(mutex_);
    const auto found = regions_.find(part.region);
    if (found == regions_.end()) return bad("no region has this name; register it first");
    opened = found->second;
  }
  const auto end = checked_add(part.offset, part.size);
  if (!end || *end > opened->region.size) return bad("the tensor reaches beyond its region");
  return opened;
}

Result<std::span<const std::byte>> SharedMemory::read(const MemoryRef& from, Arena& arena) const {
  SLUICE_TRY(const auto opened, find(from));
  auto bytes = arena.array<std::byte>(from.size);
  if (!read_all(opened->fd.get(), bytes, opened->region.offset + from.offset)) {
    return bad("the region is shorter than it was");
  }
  return bytes;
}

Result<void> SharedMemory::write(const MemoryRef& to, std::string_view bytes) const {
  if (bytes.size() > to.size) return bad("the region is too small for the output");
  SLUICE_TRY(const auto opened, find(to));
  // Writing behind the end would make the client's region grow.
  struct stat info {};
  auto at = opened->region.offset + to.offset;
  if (::fstat(opened->fd.get(), &info) != 0 ||
      static_cast<std::uint64_t>(info.st_size) < at + bytes.size()) {
    return bad("the region is shorter than it was");
  }
  while (!bytes.empty()) {
    const auto put = ::pwrite(opened->fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (put <= 0) return bad("the output could not be written");
    bytes.remove_prefix(static_cast<std::size_t>(put));
    at += static_cast<std::uint64_t>(put);
  }
  return {};
}

}  // namespace sluice::clients
