// Notices that something below a directory changes, by inotify: files written and closed, moved,
// created, removed, down to three levels (repository, model, version).
//
// It is a hint to look, not a record of what happened; where the system has no more watches to give
// it notices less.
//
// Thread-safety: `changed` is called on the watcher's own thread; the destructor waits for it.
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <thread>

#include "base/file.h"

namespace sluice::sources {

class DirectoryWatcher {
 public:
  DirectoryWatcher(std::filesystem::path root, std::function<void()> changed);
  ~DirectoryWatcher();
  DirectoryWatcher(const DirectoryWatcher&) = delete;
  DirectoryWatcher& operator=(const DirectoryWatcher&) = delete;

 private:
  void run();
  void watch_below(const std::filesystem::path& directory, int levels);

  const std::filesystem::path root_;
  const std::function<void()> changed_;
  Fd inotify_;
  Fd stop_;
  bool exhausted_ = false;
  std::thread thread_;
};

}  // namespace sluice::sources
