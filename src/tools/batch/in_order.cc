#include "tools/batch/in_order.h"

#include <algorithm>
#include <utility>

namespace sluice::tools::batch {

Result<void> InOrder::write(std::size_t place, std::size_t index, PartAnswered part) {
  SLUICE_TRY(part.done.sha256, sha256_of(part.made));
  part.done.bytes = part.made.bytes();
  std::unique_lock lock(mutex_);
  if (place < failed_) waiting_.emplace(place, Waiting{index, std::move(part)});
  while (!writing_ && is_next()) {
    writing_ = true;
    auto first = waiting_.extract(waiting_.begin());
    lock.unlock();
    auto written = write_next(first.mapped());
    lock.lock();
    writing_ = false;
    if (!written) return fail_at(next_), written;
    ++next_;
    changed_.notify_all();
  }
  changed_.wait(lock, [&] { return waiting_.size() <= most_waiting_ || place >= failed_; });
  if (place < failed_) return {};
  return fail(Code::kCancelled, "stopped", "a part before this one failed");
}

void InOrder::give_up(std::size_t place) {
  const std::lock_guard lock(mutex_);
  fail_at(place);
}

void InOrder::fail_at(std::size_t place) {
  failed_ = std::min(failed_, place);
  waiting_.erase(waiting_.lower_bound(failed_), waiting_.end());
  changed_.notify_all();
}

Result<void> InOrder::write_next(Waiting& one) {
  auto& done = one.part.done;
  SLUICE_TRY(done.offset, rows_.add(one.part.made));
  counts_.written += done.written;
  SLUICE_CHECK(journal_.add(one.index, std::move(done), one.part.made.footer, one.part.bad_lines));
  ++counts_.parts_done;
  return {};
}

}  // namespace sluice::tools::batch
