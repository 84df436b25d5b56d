#include "sources/disk_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>

#include "base/passing_errors.h"
#include "sources/manifest.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;

Error unreadable(int error) {
  return {Code::kUnavailable,
          "unreadable",
          "a directory cannot be looked into: " + std::generic_category().message(error),
          {}};
}

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, CloseDirectory>;

// Null, with errno: it cannot be read.
Directory open_listing(const Fd& root, const fs::path& directory) {
  const int fd = ::openat(root.get(), directory.empty() ? "." : directory.c_str(),
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return nullptr;
  Directory out(::fdopendir(fd));
  if (out == nullptr) ::close(fd);
  return out;
}

// Or leads to one.
bool is_directory(DIR* in, const dirent& entry) {
  if (entry.d_type != DT_LNK && entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat info {};
  return ::fstatat(::dirfd(in), entry.d_name, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace

Result<DiskTree> DiskTree::open(const fs::path& root) {
  Fd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (fd) return DiskTree(std::move(fd));
  if (is_passing(errno)) return Failure(unreadable(errno));
  return not_found("no_such_path", "the models' directory does not exist any more");
}

Names DiskTree::list(const fs::path& directory) const {
  Names out;
  const auto listing = open_listing(root_, directory);
  const dirent* entry = nullptr;
  while (listing != nullptr && (errno = 0, entry = ::readdir(listing.get())) != nullptr) {
    if (entry->d_name[0] == '.') continue;
    (is_directory(listing.get(), *entry) ? out.directories : out.files).push_back(entry->d_name);
  }
  if (is_passing(errno)) trouble_ = unreadable(errno);
  std::ranges::sort(out.files);
  std::ranges::sort(out.directories);
  return out;
}

std::string DiskTree::fingerprint(const fs::path& file) const {
  struct stat info {};
  if (::fstatat(root_.get(), file.c_str(), &info, 0) != 0) return "none";
  std::string out;
  for (const std::int64_t part :
       {static_cast<std::int64_t>(info.st_size), static_cast<std::int64_t>(info.st_ino),
        static_cast<std::int64_t>(info.st_mtim.tv_sec), info.st_mtim.tv_nsec,
        static_cast<std::int64_t>(info.st_ctim.tv_sec), info.st_ctim.tv_nsec}) {
    out += std::to_string(part) + '.';
  }
  return out;
}

// Wherever links lead, but not out of the repository.
Result<std::string> DiskTree::read(const fs::path& file, std::string_view what) const {
  SLUICE_TRY(const auto fd, open_beneath(root_, file));
  return read_text(fd, kMaxConfig, what);
}

Result<ModelFile> open_version(const fs::path& path, const WantedVersion& version) {
  SLUICE_TRY(const auto root, open_directory(path));
  const fs::path location(version.location);
  SLUICE_TRY(const auto fd, open_beneath(root, location));
  ModelFile out;
  out.name = location.filename().string();
  SLUICE_TRY(out.contents, FileBytes::copy(fd, "the model file"));
  SLUICE_TRY(auto directory,
             open_beneath(root, version.directory.empty() ? "." : version.directory));
  if (version.complete) SLUICE_CHECK(check_manifest(directory, out));
  out.directory = std::make_shared<const Fd>(std::move(directory));
  return out;
}

}  // namespace sluice::sources
