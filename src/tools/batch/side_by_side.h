// Numbered tasks, taken in order by several threads, each with a session of its own.
//
// Thread-safety: a function without state.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "clients/duckdb_session.h"

namespace sluice::tools::batch {

// Calls task(session, 0), task(session, 1) … until all are done, one fails, or `stop` is true;
// tasks that have begun end. The error of the first task (by number) that failed is the answer.
template <class Task>
Result<void> side_by_side(const clients::Duckdb& engine, std::size_t count, unsigned threads,
                          const std::atomic<bool>& stop, Task task) {
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> failed = false;
  std::mutex mutex;
  std::size_t first = count;  // guarded by the mutex, as the error is
  std::optional<Error> error;
  const auto note = [&](std::size_t index, Error found) {
    const std::lock_guard lock(mutex);
    failed = true;
    if (error && index >= first) return;
    first = index;
    error = std::move(found);
  };
  const auto work = [&] {
    auto session = clients::DuckdbSession::open(engine);
    if (!session) return note(0, std::move(session).error());
    while (!stop && !failed) {
      const std::size_t index = next.fetch_add(1);
      if (index >= count) return;
      if (auto done = task(*session, index); !done) note(index, std::move(done).error());
    }
  };
  {
    std::vector<std::jthread> workers;
    const std::size_t wanted =
        std::min<std::size_t>(std::max(threads, 1u), std::max<std::size_t>(count, 1));
    for (std::size_t i = 1; i < wanted; ++i) workers.emplace_back(work);
    work();
  }
  if (error) return Failure(std::move(*error));
  return {};
}

}  // namespace sluice::tools::batch
