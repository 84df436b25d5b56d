#include "clients/duckdb_draft.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/random.h"
#include "clients/duckdb_files.h"

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 8;  // to find a name that nobody has

Failure unwritable(const fs::path& file, int error) {
  return unavailable("unwritable", shown_name(file) +
                                       " cannot be written: " + std::strerror(error) +
                                       "; check its directory and who may write there");
}

}  // namespace

Result<FileDraft> FileDraft::make(const fs::path& file) {
  FileDraft draft(file);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    fs::path name = file;
    // Not made of the file's own name, which may already be as long as a name can be.
    name.replace_filename(".table-" + std::to_string(thread_random()()) + ".tmp");
    draft.fd_ = Fd(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (draft.fd_) {
      draft.name_ = name;
      return draft;
    }
    if (errno != EEXIST) break;
  }
  return unwritable(file, errno);
}

FileDraft::FileDraft(FileDraft&& other) noexcept
    : file_(std::move(other.file_)),
      name_(std::exchange(other.name_, {})),
      fd_(std::move(other.fd_)) {}

FileDraft::~FileDraft() {
  if (!name_.empty()) ::unlink(name_.c_str());
}

Result<void> FileDraft::publish() {
  if (::fsync(fd_.get()) != 0) return unwritable(file_, errno);
  if (::rename(name_.c_str(), file_.c_str()) != 0) return unwritable(file_, errno);
  name_.clear();
  const auto parent = file_.parent_path();
  const auto directory = open_directory(parent.empty() ? fs::path(".") : parent);
  if (!directory || ::fsync(directory->get()) != 0) return unwritable(file_, errno);
  return {};
}

}  // namespace sluice::clients
