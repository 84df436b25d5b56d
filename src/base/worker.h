// Named threads that run tasks: one thread one after the other, several side by side.
//
// Thread-safety: `post` from any thread; the destructor runs what was posted, then joins.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class Worker {
 public:
  using Task = std::move_only_function<void()>;

  // At most 15 characters of `name` are kept by the system.
  explicit Worker(std::string name, int threads = 1);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Tasks must not throw.
  void post(Task task);
  // Not before `when`; a task that is still waiting when the destructor is called does not run.
  void post_at(std::chrono::steady_clock::time_point when, Task task);

 private:
  void run();

  struct Later {
    std::chrono::steady_clock::time_point when;
    Task task;
  };

  const std::string name_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> tasks_;    // guarded by mutex_
  std::vector<Later> later_;  // guarded by mutex_, any order: there are few
  bool stopping_ = false;     // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace sluice
