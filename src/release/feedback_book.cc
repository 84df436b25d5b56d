#include "release/feedback_book.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace sluice::release {
namespace {

// A clock that was set back by more than this was wrong before.
constexpr WallMillis kSetBack = 3'600'000;

}  // namespace

void FeedbackBook::add(const RequestKey& id, Waiting waiting) {
  // So that after a restart it is told apart from what had expired when it came.
  if (expired_before_ - waiting.at < kSetBack) waiting.at = std::max(waiting.at, expired_before_);
  if (waiting.arm >= pending_.size() || !waiting_.try_emplace(id, waiting).second) return;
  order_.emplace_back(id, waiting.at);
  news_.push_back({id, waiting});
  if (waiting.answered == 0) pending_[waiting.arm] += 1;
  while (order_.size() > most_) {
    ++given_up_;
    forget_oldest();
  }
}

const Waiting* FeedbackBook::find(const RequestKey& id) const {
  const auto found = waiting_.find(id);
  return found == waiting_.end() ? nullptr : &found->second;
}

void FeedbackBook::answer(const RequestKey& id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end() || found->second.answered != 0) return;
  found->second.answered = 1;
  pending_[found->second.arm] -= 1;
  news_.push_back({id, found->second});
}

void FeedbackBook::forget_oldest() {
  const auto found = waiting_.find(order_.front().first);
  if (found != waiting_.end()) {
    if (found->second.answered == 0) pending_[found->second.arm] -= 1;
    waiting_.erase(found);
  }
  order_.pop_front();
}

std::vector<Waiting> FeedbackBook::expire(WallMillis before) {
  expired_before_ =
      before + kSetBack < expired_before_ ? before : std::max(expired_before_, before);
  std::vector<Waiting> out;
  // Ordered by arrival: a clock that was set back delays an end, and never brings it forward.
  while (!order_.empty() && order_.front().second < before) {
    const auto* waiting = find(order_.front().first);
    if (waiting != nullptr && waiting->answered == 0) out.push_back(*waiting);
    forget_oldest();
  }
  return out;
}

std::string FeedbackBook::news() const {
  static_assert(std::is_trivially_copyable_v<Entry> && sizeof(Entry) == kEntryBytes);
  std::string out(news_.size() * sizeof(Entry), '\0');
  if (!news_.empty()) std::memcpy(out.data(), news_.data(), out.size());
  return out;
}

void FeedbackBook::adopt(FeedbackBook& other, const std::vector<std::size_t>& arms) {
  expired_before_ = std::max(expired_before_, other.expired_before_);
  for (const auto& [id, at] : other.order_) {
    const Waiting* waiting = other.find(id);
    if (waiting == nullptr || arms[waiting->arm] == kGone) continue;
    Waiting mine = *waiting;
    mine.arm = static_cast<std::uint32_t>(arms[waiting->arm]);
    add(id, mine);
  }
  other = FeedbackBook(other.pending_.size(), other.most_);
}

void FeedbackBook::restore(const std::string& news) {
  for (std::size_t at = 0; at + sizeof(Entry) <= news.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, news.data() + at, sizeof(Entry));
    if (entry.waiting.arm >= pending_.size()) continue;
    if (find(entry.id) == nullptr) {
      add(entry.id, entry.waiting);
    } else if (entry.waiting.answered != 0) {
      answer(entry.id);
    }
  }
  news_.clear();
}

WallMillis FeedbackBook::newest(std::string_view news) {
  WallMillis out = 0;
  for (std::size_t at = 0; at + sizeof(Entry) <= news.size(); at += sizeof(Entry)) {
    Entry entry;
    std::memcpy(&entry, news.data() + at, sizeof(Entry));
    out = std::max(out, entry.waiting.at);
  }
  return out;
}

}  // namespace sluice::release
