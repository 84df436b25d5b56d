#include "sources/disk_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sources/manifest.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxConfig = 1 << 20;

// Of a full table or a network that hangs; what cannot be read for want of a right is not there.
bool passes(int error) {
  constexpr std::array kPassing = {EMFILE, ENFILE, ENOMEM, EIO, ESTALE, ENOTCONN, ETIMEDOUT, EINTR};
  return std::ranges::count(kPassing, error) > 0;
}

}  // namespace

Result<void> DiskTree::begin() {
  trouble_.reset();
  std::error_code error;
  if (fs::is_directory(root_, error)) return {};
  return not_found("no_such_path", "the models' directory does not exist any more");
}

Names DiskTree::list(const fs::path& directory) const {
  Names out;
  std::error_code error;
  for (fs::directory_iterator it(root_ / directory, error), end; !error && it != end;
       it.increment(error)) {
    const auto name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;
    (it->is_directory(ignored) ? out.directories : out.files).push_back(name);
  }
  if (passes(error.value())) {
    trouble_ = Error{Code::kUnavailable,
                     "unreadable",
                     "a directory cannot be looked into: " + error.message(),
                     {}};
  }
  std::ranges::sort(out.files);
  std::ranges::sort(out.directories);
  return out;
}

std::string DiskTree::fingerprint(const fs::path& file) const {
  struct stat info {};
  if (::stat((root_ / file).c_str(), &info) != 0) return "none";
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
  SLUICE_TRY(const auto root, open_directory(root_));
  SLUICE_TRY(const auto fd, open_beneath(root, file));
  return read_text(fd, kMaxConfig, what);
}

Result<ModelFile> open_version(const Fd& root, const WantedVersion& version) {
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
