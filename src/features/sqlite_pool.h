// Connections for reading a file of SQLite's that somebody else writes: each reading thread has one
// of its own as long as it reads.
//
// The file need not be there yet, may be written meanwhile, removed, and replaced by another one.
// All connections to the old one are closed then before the new one is opened: SQLite finds what
// connections share by the file's name, and would mix the two.
//
// Thread-safety: every function may be called from any thread.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <concepts>
#include <cstring>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "clients/sqlite.h"

namespace sluice::features {

// "feature store 'users'", and the reasons of feature stores.
class StoreNames {
 public:
  explicit StoreNames(const std::string& store) : what_("feature store '" + store + "'") {
    names_.what = what_;
  }
  StoreNames(const StoreNames&) = delete;
  StoreNames& operator=(const StoreNames&) = delete;

  const clients::SqliteNames& get() const { return names_; }

 private:
  std::string what_;
  clients::SqliteNames names_{{},
                              "store_unavailable",
                              "bad_store",
                              Code::kFailedPrecondition,
                              "name the right file, or write it again"};
};

// A Session has a connection and what is worth keeping with it. It is made by `open`, and dropped
// after an error.
template <class Session>
class SqlitePool {
 public:
  using Open = Result<std::unique_ptr<Session>> (*)(const std::filesystem::path& file,
                                                    const clients::SqliteNames& names);
  using Deadline = std::chrono::steady_clock::time_point;

  SqlitePool(std::filesystem::path file, const std::string& store, Open open)
      : file_(std::move(file)), names_(store), open_(open) {}

  const clients::SqliteNames& names() const { return names_.get(); }

  // Does `work` with a session, in one transaction: all of it sees the same state. False where
  // there is no file. Errors: those of clients/sqlite.h under a feature store's reasons; a failure
  // after the deadline is kDeadlineExceeded/`store_timeout`.
  template <std::invocable<Session&> Work>
  Result<bool> read(Deadline deadline, Work work) const {
    auto done = try_read(deadline, work);
    if (done || done.error().code != Code::kUnavailable) return done;
    if (std::chrono::steady_clock::now() < deadline) return done;
    return fail(Code::kDeadlineExceeded, "store_timeout",
                std::string(names().what) +
                    " did not answer in time: its file is locked by "
                    "whoever writes it; write less at a time");
  }

 private:
  // Which file it is, whatever its name.
  using Identity = std::optional<std::pair<dev_t, ino_t>>;
  static constexpr int kTries = 10;

  template <class Work>
  Result<bool> try_read(Deadline deadline, Work& work) const {
    for (int tries = 0; tries < kTries; ++tries) {
      SLUICE_TRY(const auto there, look());
      if (!there) return false;
      {
        const std::shared_lock using_it(in_use_);
        if (there == identity_) {
          SLUICE_CHECK(work_with_one(deadline, work));
          return true;
        }
      }
      change(there);
    }
    return unavailable(names().unavailable, std::string(names().what) +
                                                " cannot be read: its file is replaced again and "
                                                "again; replace it less often");
  }

  template <class Work>
  Result<void> work_with_one(Deadline deadline, Work& work) const {
    SLUICE_TRY(auto session, take());
    session->database.wait_until(deadline);
    {
      SLUICE_TRY(auto transaction, session->database.begin_reading());
      SLUICE_CHECK(work(*session));
    }
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(session));
    return {};
  }

  Result<Identity> look() const {
    struct stat info {};
    if (::stat(file_.c_str(), &info) == 0) return Identity({info.st_dev, info.st_ino});
    if (errno == ENOENT || errno == ENOTDIR) return Identity();
    return unavailable(names().unavailable, std::string(names().what) +
                                                " cannot be opened: " + std::strerror(errno) +
                                                "; check who may read its file");
  }

  // Waits for those who read the old file.
  void change(const Identity& there) const {
    const std::unique_lock alone(in_use_);
    const std::lock_guard lock(mutex_);
    if (identity_ == there) return;
    idle_.clear();
    identity_ = there;
  }

  Result<std::unique_ptr<Session>> take() const {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto session = std::move(idle_.back());
        idle_.pop_back();
        return session;
      }
    }
    return open_(file_, names());
  }

  const std::filesystem::path file_;
  const StoreNames names_;
  const Open open_;
  mutable std::shared_mutex in_use_;  // shared by those who read, alone to change the file
  mutable Identity identity_;         // guarded by in_use_
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Session>> idle_;  // guarded by mutex_
};

}  // namespace sluice::features
