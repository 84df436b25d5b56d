#include "serving/batch_rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <initializer_list>
#include <random>
#include <vector>

namespace sluice::serving {
namespace {

using namespace std::chrono_literals;

const TimePoint kStart = TimePoint() + 1h;

// Requests that can be told apart by their number.
class Queue {
 public:
  Request& add(std::size_t rows, Shape row = {1}, TimePoint submitted = kStart) {
    auto request = make_request();
    request->rows = rows;
    request->submitted = submitted;
    request->inputs = request->arena.array<TensorView>(1);
    TensorView input;
    input.shape.push(static_cast<std::int64_t>(rows));
    for (const auto dim : row.dims()) input.shape.push(dim);
    request->inputs[0] = input;
    request->bound_to = count_++;  // any member that nobody here looks at
    waiting.push_back(std::move(request));
    return *waiting.back();
  }
  static std::vector<int> numbers(std::span<const RequestPtr> requests) {
    std::vector<int> out;
    for (const auto& request : requests) out.push_back(static_cast<int>(request->bound_to));
    return out;
  }
  // The members of the next batch; they leave.
  std::vector<int> take(const BatchRules& rules, TimePoint now = kStart) {
    const auto next = next_batch(rules, waiting, now, costs);
    auto out = numbers(std::span(waiting).first(next.count));
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(next.count));
    return out;
  }
  std::vector<int> left() const { return numbers(waiting); }
  // When a batch that is held open is looked at again.
  TimePoint again(const BatchRules& rules, TimePoint now = kStart) {
    const auto next = next_batch(rules, waiting, now, costs);
    EXPECT_EQ(next.count, 0U);
    return next.again;
  }

  std::vector<RequestPtr> waiting;
  CostModel costs;

 private:
  std::uint64_t count_ = 0;
};

using Numbers = std::vector<int>;

BatchRules eager(std::size_t max_rows, std::vector<std::size_t> preferred = {}) {
  return {BatchPolicy::kEager, max_rows, {}, std::move(preferred)};
}

BatchRules wait(std::size_t max_rows, std::chrono::nanoseconds max_wait,
                std::vector<std::size_t> preferred = {}) {
  return {BatchPolicy::kWait, max_rows, max_wait, std::move(preferred)};
}

TEST(BatchRules, OfAConfiguration) {
  Batching batching;
  batching.max_batch_size = 16;
  batching.max_wait = Millis(7);
  batching.policy = BatchPolicy::kWait;
  batching.preferred = {4, 16, 64};
  const auto rules = BatchRules::of(batching, true);
  EXPECT_EQ(rules.policy, BatchPolicy::kWait);
  EXPECT_EQ(rules.max_rows, 16U);
  EXPECT_EQ(rules.max_wait, 7ms);
  EXPECT_EQ(rules.preferred, (std::vector<std::size_t>{4, 16})) << "64 can never be reached";
  EXPECT_EQ(BatchRules::of(batching, false).max_rows, 1U);
  EXPECT_TRUE(BatchRules::of(batching, false).preferred.empty());
}

TEST(BatchRules, NobodyWaits) {
  Queue queue;
  EXPECT_EQ(next_batch(eager(4), queue.waiting, kStart, queue.costs).count, 0U);
  EXPECT_EQ(queue.again(wait(4, 1s)), TimePoint::max());
}

TEST(BatchRules, EagerTakesWhatIsThere) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.add(1);
  EXPECT_EQ(queue.take(eager(32)), (Numbers{0, 1, 2}));
  EXPECT_TRUE(queue.waiting.empty());
}

TEST(BatchRules, UpToTheMostRows) {
  Queue queue;
  for (const std::size_t rows : {2, 1, 3, 1}) queue.add(rows);
  EXPECT_EQ(queue.take(eager(4)), (Numbers{0, 1, 3})) << "who does not fit is passed over";
  EXPECT_EQ(queue.left(), Numbers{2});
  EXPECT_EQ(queue.take(eager(4)), Numbers{2});
}

TEST(BatchRules, OneRequestWithMoreRowsRunsAlone) {
  Queue queue;
  for (const std::size_t rows : {9, 1, 1}) queue.add(rows);
  EXPECT_EQ(queue.take(eager(4)), Numbers{0});
  EXPECT_EQ(queue.take(eager(4)), (Numbers{1, 2}));
}

TEST(BatchRules, NoMoreThanOneRowIsNoBatching) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.add(1);
  EXPECT_EQ(queue.take(eager(1)), Numbers{0});
  EXPECT_EQ(queue.take(wait(1, 1s)), Numbers{1}) << "nothing to wait for";
}

TEST(BatchRules, RowsOfOtherShapesStayBehindInOrder) {
  Queue queue;
  queue.add(1, {3});
  queue.add(1, {4});
  queue.add(2, {3});
  queue.add(1, {3, 1});
  queue.add(1, {4});
  queue.add(1, {3});
  EXPECT_EQ(queue.take(eager(32)), (Numbers{0, 2, 5}));
  EXPECT_EQ(queue.left(), (Numbers{1, 3, 4}));
  EXPECT_EQ(queue.take(eager(32)), (Numbers{1, 4}));
  EXPECT_EQ(queue.take(eager(32)), Numbers{3});
}

TEST(BatchRules, EveryInputHasToBeAlike) {
  Queue queue;
  const auto add_second = [](Request& request, std::int64_t width) {
    const auto first = request.inputs[0];
    request.inputs = request.arena.array<TensorView>(2);
    request.inputs[0] = first;
    request.inputs[1] = first;
    request.inputs[1].shape = {static_cast<std::int64_t>(request.rows), width};
  };
  add_second(queue.add(1), 2);
  add_second(queue.add(1), 3);
  add_second(queue.add(1), 2);
  EXPECT_EQ(queue.take(eager(32)), (Numbers{0, 2}));
}

TEST(BatchRules, RequestsWithoutRowsRunAlone) {
  Queue queue;
  for (const std::size_t rows : {0, 1, 0, 1}) queue.add(rows);
  EXPECT_EQ(queue.take(eager(32)), Numbers{0});
  EXPECT_EQ(queue.take(eager(32)), (Numbers{1, 3}));
  EXPECT_EQ(queue.take(eager(32)), Numbers{2});
}

TEST(BatchRules, PreferredSizesAreReachedAndNotPassed) {
  Queue queue;
  for (int i = 0; i < 7; ++i) queue.add(1);
  const auto rules = eager(16, {2, 4, 8});
  EXPECT_EQ(queue.take(rules).size(), 4U);
  EXPECT_EQ(queue.take(rules).size(), 2U);
  EXPECT_EQ(queue.take(rules).size(), 1U) << "below the smallest, all that there is";
}

TEST(BatchRules, ARequestIsNotSplitForAPreferredSize) {
  Queue queue;
  for (const std::size_t rows : {3, 3, 1}) queue.add(rows);
  EXPECT_EQ(queue.take(eager(16, {4})), Numbers{0}) << "3 + 3 are more than 4";
  queue.add(5);
  EXPECT_EQ(queue.take(eager(16, {4})), (Numbers{1, 2}));
  EXPECT_EQ(queue.left(), Numbers{3});
}

TEST(BatchRules, WaitHoldsUntilTheOldestHasWaited) {
  Queue queue;
  const auto rules = wait(8, 10ms);
  queue.add(1, {1}, kStart);
  queue.add(1, {1}, kStart + 4ms);
  EXPECT_EQ(queue.again(rules, kStart), kStart + 10ms);
  EXPECT_EQ(queue.again(rules, kStart + 9999us), kStart + 10ms);
  EXPECT_EQ(queue.left(), (Numbers{0, 1}));
  EXPECT_EQ(queue.take(rules, kStart + 10ms), (Numbers{0, 1}));
}

TEST(BatchRules, TheOldestNeedNotBeTheFirst) {
  Queue queue;  // by priority
  queue.add(1, {1}, kStart + 4ms);
  queue.add(1, {1}, kStart);
  EXPECT_EQ(queue.again(wait(8, 10ms), kStart + 5ms), kStart + 10ms);
}

TEST(BatchRules, WaitClosesWhenItIsFull) {
  Queue queue;
  const auto rules = wait(4, 1s);
  for (const std::size_t rows : {1, 2}) queue.add(rows);
  EXPECT_GT(queue.again(rules), kStart);
  queue.add(1);
  queue.add(1);
  EXPECT_EQ(queue.take(rules), (Numbers{0, 1, 2}));
  EXPECT_EQ(queue.left(), Numbers{3});
  queue.add(9);
  EXPECT_GT(queue.again(rules), kStart) << "one row waits; nine cannot join it";
}

TEST(BatchRules, WaitClosesAtTheLargestPreferredSize) {
  Queue queue;
  const auto rules = wait(32, 1s, {2, 4});
  for (int i = 0; i < 3; ++i) queue.add(1);
  EXPECT_GT(queue.again(rules), kStart) << "2 is not the best that can come";
  queue.add(1);
  EXPECT_EQ(queue.take(rules).size(), 4U);
}

TEST(BatchRules, WaitClosesEarlierForADeadline) {
  Queue queue;
  const auto rules = wait(8, 100ms);
  queue.costs.set(2, 5ms);
  queue.add(1);
  queue.add(1).deadline = kStart + 50ms;
  EXPECT_EQ(queue.again(rules), kStart + 25ms) << "half of its time";
  EXPECT_EQ(queue.take(rules, kStart + 25ms), (Numbers{0, 1}));
}

TEST(BatchRules, WaitLeavesTheTimeThatARunTakes) {
  Queue queue;
  const auto rules = wait(8, 100ms);
  queue.costs.set(1, 40ms);
  queue.add(1).deadline = kStart + 50ms;
  EXPECT_EQ(queue.again(rules), kStart + 10ms);
}

TEST(BatchRules, ADeadlineThatWillBeMissedClosesAtOnce) {
  Queue queue;
  queue.costs.set(1, 80ms);
  queue.add(1).deadline = kStart + 50ms;
  EXPECT_EQ(queue.take(wait(8, 100ms)), Numbers{0});
}

TEST(BatchRules, DeadlinesOfThoseWhoCannotJoinHoldNobodyBack) {
  Queue queue;
  queue.add(1, {3});
  queue.add(1, {4}).deadline = kStart + 2ms;
  EXPECT_EQ(queue.again(wait(8, 10ms)), kStart + 10ms);
}

TEST(TakeHopeless, TheCancelledAndTheLate) {
  Queue queue;
  const std::atomic<bool> yes = true;
  const std::atomic<bool> no = false;
  queue.costs.set(1, 10ms);
  queue.costs.set(8, 40ms);
  queue.add(1);
  queue.add(1).cancelled = &yes;
  queue.add(1).cancelled = &no;
  queue.add(1).deadline = kStart + 9ms;   // late
  queue.add(1).deadline = kStart + 10ms;  // just in time
  queue.add(8).deadline = kStart + 39ms;  // late: its own rows count
  queue.add(8).deadline = kStart + 41ms;
  queue.add(1).deadline = kStart - 1ms;  // late for long
  const auto gone = take_hopeless(queue.waiting, kStart, queue.costs);
  EXPECT_EQ(queue.numbers(gone), (Numbers{1, 3, 5, 7}));
  EXPECT_EQ(queue.left(), (Numbers{0, 2, 4, 6}));
}

TEST(TakeHopeless, NobodyIs) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.add(1);
  EXPECT_TRUE(take_hopeless(queue.waiting, kStart, queue.costs).empty());
  EXPECT_EQ(queue.left(), (Numbers{0, 1, 2}));
}

TEST(TakeHopeless, AModelThatNeverRanIsGivenAChance) {
  Queue queue;
  queue.add(1).deadline = kStart + 1ns;
  EXPECT_TRUE(take_hopeless(queue.waiting, kStart, queue.costs).empty());
}

// What the rules say, in as few words as possible.
struct Naive {
  struct Item {
    int number;
    std::size_t rows;
    int shape;
  };

  std::vector<int> take(const BatchRules& rules) {
    std::vector<Item> members;
    std::vector<Item> others;
    std::size_t total = 0;
    for (const auto& item : waiting) {
      const bool first = members.empty();
      const bool joins = !first && members[0].rows > 0 && item.rows > 0 &&
                         item.shape == members[0].shape && total + item.rows <= rules.max_rows;
      if (first || joins) {
        members.push_back(item);
        total += item.rows;
      } else {
        others.push_back(item);
      }
    }
    std::size_t size = 0;
    for (const auto preferred : rules.preferred) {
      if (preferred <= total) size = preferred;
    }
    std::vector<Item> back;
    while (size > 0 && members.size() > 1 && total > size) {
      total -= members.back().rows;
      back.push_back(members.back());
      members.pop_back();
    }
    others.insert(others.end(), back.begin(), back.end());
    std::ranges::sort(others, {}, &Item::number);
    waiting = others;
    std::vector<int> out;
    for (const auto& item : members) out.push_back(item.number);
    return out;
  }

  std::vector<Item> waiting;
};

TEST(BatchRules, AsANaiveModelWouldChoose) {
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (int round = 0; round < 300; ++round) {
    auto rules = eager(1 + below(12));
    for (std::size_t size = 1 + below(4); size <= rules.max_rows; size += 1 + below(6)) {
      if (below(2) == 0) rules.preferred.push_back(size);
    }
    // At a time when policy wait holds nothing open any more it chooses as eager does.
    if (below(2) == 0) rules.policy = BatchPolicy::kWait;
    const std::size_t shapes = 1 + below(3);
    Queue queue;
    Naive naive;
    int number = 0;
    for (int step = 0; step < 20; ++step) {
      for (std::size_t i = below(8); i > 0; --i) {
        const std::size_t rows = below(10) == 0 ? 0 : below(10) == 0 ? 20 : 1 + below(4);
        const auto shape = static_cast<int>(below(shapes));
        queue.add(rows, {shape + 1});
        naive.waiting.push_back({number++, rows, shape});
      }
      if (queue.waiting.empty()) continue;
      std::size_t rows = 0;
      const auto next = next_batch(rules, queue.waiting, kStart, queue.costs);
      for (std::size_t i = 0; i < next.count; ++i) rows += queue.waiting[i]->rows;
      ASSERT_TRUE(next.count == 1 || rows <= rules.max_rows);
      const auto members = queue.numbers(std::span(queue.waiting).first(next.count));
      queue.waiting.erase(queue.waiting.begin(),
                          queue.waiting.begin() + static_cast<std::ptrdiff_t>(next.count));
      ASSERT_EQ(members, naive.take(rules)) << "round " << round << ", step " << step;
      std::vector<int> left;
      for (const auto& item : naive.waiting) left.push_back(item.number);
      ASSERT_EQ(queue.left(), left) << "round " << round << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace sluice::serving
