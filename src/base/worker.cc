#include "base/worker.h"

#include <pthread.h>

#include <algorithm>

namespace sluice {

Worker::Worker(std::string name, int threads) : name_(std::move(name)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Worker::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  wake_.notify_one();
}

void Worker::post_at(std::chrono::steady_clock::time_point when, Task task) {
  {
    const std::lock_guard lock(mutex_);
    later_.push_back({when, std::move(task)});
  }
  wake_.notify_one();
}

void Worker::run() {
  pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
  std::unique_lock lock(mutex_);
  while (true) {
    const auto due = std::ranges::min_element(later_, {}, &Later::when);
    if (due != later_.end() && due->when <= std::chrono::steady_clock::now()) {
      tasks_.push_back(std::move(due->task));
      later_.erase(due);
    }
    if (!tasks_.empty()) {
      Task task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;  // what it holds is let go without the lock
      lock.lock();
    } else if (stopping_) {
      return;
    } else if (due != later_.end()) {
      // A copy: others change the list while this thread waits.
      const auto until = due->when;
      wake_.wait_until(lock, until);
    } else {
      wake_.wait(lock);
    }
  }
}

}  // namespace sluice
