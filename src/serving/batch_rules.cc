#include "serving/batch_rules.h"

#include <algorithm>
#include <utility>

namespace sluice::serving {
namespace {

// Rows can only lie behind each other when they are alike.
bool same_rows(const Request& a, const Request& b) {
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    const auto left = a.inputs[i].shape.dims();
    const auto right = b.inputs[i].shape.dims();
    if (left.size() != right.size() ||
        !std::equal(left.begin() + (left.empty() ? 0 : 1), left.end(),
                    right.begin() + (right.empty() ? 0 : 1))) {
      return false;
    }
  }
  return true;
}

// Moves the requests at `chosen` (ascending) to the front; everybody keeps their order.
void move_to_front(std::span<RequestPtr> waiting, const std::vector<std::size_t>& chosen) {
  if (chosen.back() + 1 == chosen.size()) return;  // they are there already
  std::vector<RequestPtr> members;
  members.reserve(chosen.size());
  for (const auto at : chosen) members.push_back(std::move(waiting[at]));
  // What was passed over moves back, from the last of the chosen on.
  std::size_t to = chosen.back() + 1;
  for (std::size_t from = to; from-- > 0;) {
    if (waiting[from] != nullptr) waiting[--to] = std::move(waiting[from]);
  }
  std::ranges::move(members, waiting.begin());
}

// The largest preferred size that `rows` reach, or all of them.
std::size_t preferred_size(const BatchRules& rules, std::size_t rows) {
  std::size_t best = 0;
  for (const auto size : rules.preferred) {
    if (size <= rows) best = size;
  }
  return best == 0 ? rows : best;
}

struct Candidates {
  std::vector<std::size_t> places;  // ascending, the first is 0
  std::vector<std::size_t> rows;    // of all up to each
};

Candidates candidates(const BatchRules& rules, std::span<const RequestPtr> waiting) {
  Candidates out;
  std::size_t rows = waiting[0]->rows;
  out.places.push_back(0);
  out.rows.push_back(rows);
  for (std::size_t i = 1; i < waiting.size() && rows < rules.max_rows; ++i) {
    const Request& next = *waiting[i];
    // Requests without rows have nothing to put behind each other.
    if (waiting[0]->rows == 0 || next.rows == 0 || next.rows > rules.max_rows - rows ||
        !same_rows(*waiting[0], next)) {
      continue;
    }
    rows += next.rows;
    out.places.push_back(i);
    out.rows.push_back(rows);
  }
  return out;
}

// Policy wait: until when the batch may be held open for more.
TimePoint closes_at(const BatchRules& rules, std::span<const RequestPtr> waiting,
                    const Candidates& members, const CostModel& costs) {
  TimePoint out = TimePoint::max();
  const auto run_time = costs.slow(members.rows.back());
  for (const auto place : members.places) {
    const Request& member = *waiting[place];
    out = std::min(out, member.submitted + rules.max_wait);
    if (member.deadline == TimePoint::max()) continue;
    // Half of the time that is left is the most that anybody waits for others.
    const auto half = member.submitted + (member.deadline - member.submitted) / 2;
    out = std::min({out, half, member.deadline - run_time});
  }
  return out;
}

}  // namespace

BatchRules BatchRules::of(const Batching& batching, bool batchable) {
  BatchRules out;
  out.policy = batching.policy;
  out.max_rows = batchable ? static_cast<std::size_t>(batching.max_batch_size) : 1;
  out.max_wait = batching.max_wait;
  for (const auto size : batching.preferred) {
    if (static_cast<std::size_t>(size) <= out.max_rows) {
      out.preferred.push_back(static_cast<std::size_t>(size));
    }
  }
  return out;
}

NextBatch next_batch(const BatchRules& rules, std::span<RequestPtr> waiting, TimePoint now,
                     const CostModel& costs) {
  if (waiting.empty()) return {};
  auto members = candidates(rules, waiting);
  const std::size_t full = rules.preferred.empty() ? rules.max_rows : rules.preferred.back();
  if (rules.policy == BatchPolicy::kWait && rules.max_rows > 1 && members.rows.back() < full) {
    const auto close = closes_at(rules, waiting, members, costs);
    if (close > now) return {0, close};
  }
  const std::size_t size = preferred_size(rules, members.rows.back());
  while (members.places.size() > 1 && members.rows.back() > size) {
    members.places.pop_back();
    members.rows.pop_back();
  }
  move_to_front(waiting, members.places);
  return {members.places.size(), TimePoint::max()};
}

std::vector<RequestPtr> take_hopeless(std::vector<RequestPtr>& waiting, TimePoint now,
                                      const CostModel& costs) {
  std::vector<RequestPtr> out;
  const auto hopeless = [&](const RequestPtr& request) {
    if (request->cancelled != nullptr && request->cancelled->load(std::memory_order_relaxed)) {
      return true;
    }
    return request->deadline != TimePoint::max() &&
           now + costs.median(request->rows) > request->deadline;
  };
  auto to = waiting.begin();
  for (auto& request : waiting) {
    if (hopeless(request)) {
      out.push_back(std::move(request));
    } else {
      if (&*to != &request) *to = std::move(request);
      ++to;
    }
  }
  waiting.erase(to, waiting.end());
  return out;
}

}  // namespace sluice::serving
