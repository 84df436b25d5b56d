#include "tools/batch/staging_folder.h"

#include <sys/file.h>
#include <sys/statvfs.h>

#include "base/digest.h"
#include "base/private_directory.h"
#include "base/text.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNameLength = 24;  // hexadecimal digits

Failure unwritable(const std::error_code& error) {
  return unavailable("unwritable", "the staging folder cannot be written: " + error.message() +
                                       "; name another with --staging");
}

}  // namespace

Result<StagingFolder> StagingFolder::open(const fs::path& directory, const std::string& job) {
  StagingFolder out;
  out.path_ = directory / sha256_hex(job).substr(0, kNameLength);
  if (const auto error = make_private_directory(out.path_)) return unwritable(error);
  SLUICE_TRY(out.lock_, open_directory(out.path_));
  if (::flock(out.lock_.get(), LOCK_EX | LOCK_NB) == 0) return out;
  return fail(Code::kAborted, "busy",
              "another sluice batch is at work on this output; wait for its end");
}

Result<fs::path> StagingFolder::folder(const std::string& name) const {
  const auto out = path_ / name;
  if (const auto error = make_private_directory(out)) return unwritable(error);
  return out;
}

Result<void> StagingFolder::check_room(std::uint64_t bytes) const {
  struct statvfs state {};
  if (::statvfs(path_.c_str(), &state) != 0) return {};
  const auto free = std::uint64_t{state.f_bavail} * state.f_frsize;
  if (bytes <= free) return {};
  return fail(Code::kResourceExhausted, "no_room",
              "the input is " + human_bytes(bytes) + ", and the staging folder's disk has " +
                  human_bytes(free) + " left; name a folder on another with --staging");
}

void StagingFolder::remove() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

}  // namespace sluice::tools::batch
