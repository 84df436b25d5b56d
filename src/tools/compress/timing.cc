#include "tools/compress/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/tensor_rows.h"
#include "tools/compress/figures.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTurns = 20;
constexpr int kFewestTurns = 3;
constexpr std::size_t kMostRows = 64;  // of a batch
constexpr double kMoods = 0.03;        // a ratio nearer to 1 says nothing

using Microseconds = std::chrono::duration<double, std::micro>;

std::vector<TensorView> first_rows(const DatasetBatch& batch, std::size_t count) {
  if (count == batch.rows) return batch.inputs;
  std::vector<TensorView> out;
  for (const auto& tensor : batch.inputs) out.push_back(rows_of(tensor, 0, count, batch.rows));
  return out;
}

// Microseconds of each run.
using Taken = std::vector<double>;

Result<void> run_for(const Model& model, std::span<const TensorView> inputs, Clock::duration length,
                     Taken& taken) {
  std::vector<TensorView> outputs(model.signature().outputs.size());
  const auto end = Clock::now() + length;
  for (auto now = Clock::now(); now < end || taken.empty();) {
    Arena arena;
    SLUICE_CHECK(model.run(inputs, outputs, arena));
    const auto then = std::exchange(now, Clock::now());
    taken.push_back(std::chrono::duration<double, std::micro>(now - then).count());
  }
  return {};
}

double quantile(Taken& taken, double share) {
  const auto place = static_cast<std::size_t>(share * static_cast<double>(taken.size() - 1));
  std::ranges::nth_element(taken, taken.begin() + static_cast<std::ptrdiff_t>(place));
  return taken[place];
}

struct Both {
  Taken before;
  Taken after;
};

// How often both fit into `budget`: a turn is at least one run of each, however long that is.
int turns_within(Clock::duration budget, Both& warm) {
  const double each = quantile(warm.before, 0.5) + quantile(warm.after, 0.5);
  const double fit = Microseconds(budget).count() / std::max(each, 1.0);
  return static_cast<int>(std::clamp<double>(fit, kFewestTurns, kTurns));
}

Result<Both> in_turns(const Model& before, const Model& after, std::span<const TensorView> inputs,
                      Clock::duration budget, const std::atomic<bool>& stop) {
  Both warm;
  SLUICE_CHECK(run_for(before, inputs, budget / kTurns, warm.before));
  SLUICE_CHECK(run_for(after, inputs, budget / kTurns, warm.after));
  const int turns = turns_within(budget, warm);
  Both out;
  for (int turn = 0; turn < turns; ++turn) {
    if (stop) return stopped();
    SLUICE_CHECK(run_for(before, inputs, budget / (2 * turns), out.before));
    SLUICE_CHECK(run_for(after, inputs, budget / (2 * turns), out.after));
  }
  return out;
}

// Rows of a batch that take no more than a tenth of `budget`, by what one takes alone.
std::size_t rows_within(Clock::duration budget, double row_us) {
  const double fit = Microseconds(budget / 10).count() / std::max(row_us, 0.01);
  return static_cast<std::size_t>(std::clamp<double>(fit, 1, kMostRows));
}

}  // namespace

Result<TimingPair> time_both(const Model& before, const Model& after, const Dataset& dataset,
                             std::chrono::milliseconds budget, const std::atomic<bool>& stop) {
  const auto& batches = dataset.batches();
  const auto& largest = *std::ranges::max_element(batches, {}, &DatasetBatch::rows);
  const bool batchable = before.signature().batchable();
  const std::size_t alone = batchable ? 1 : largest.rows;
  SLUICE_TRY(auto single, in_turns(before, after, first_rows(largest, alone), budget / 2, stop));
  const double slower = std::max(quantile(single.before, 0.5), quantile(single.after, 0.5));
  const std::size_t many =
      batchable ? std::min(rows_within(budget / 2, slower), largest.rows) : largest.rows;
  SLUICE_TRY(auto together, in_turns(before, after, first_rows(largest, many), budget / 2, stop));
  const auto timing = [&](Taken& one, Taken& batch) {
    Timing out;
    out.p50_us = quantile(one, 0.5);
    out.p95_us = quantile(one, 0.95);
    out.batch = many;
    out.batch_p50_us = quantile(batch, 0.5);
    out.batch_p95_us = quantile(batch, 0.95);
    out.rows_per_second = 1e6 * static_cast<double>(many) / out.batch_p50_us;
    return out;
  };
  TimingPair out;
  out.before = timing(single.before, together.before);
  out.after = timing(single.after, together.after);
  out.faster = out.before.p50_us / out.after.p50_us;
  out.throughput = out.after.rows_per_second / out.before.rows_per_second;
  return out;
}

std::string slower_note(const TimingPair& timing) {
  const auto slower = [](double ratio) { return ratio < 1 - kMoods; };
  std::string what;
  if (slower(timing.faster)) {
    what = fmt::format("one row alone takes {} the original's time", times(1 / timing.faster));
  }
  if (timing.before.batch > 1 && slower(timing.throughput)) {
    what +=
        fmt::format("{}{} rows together take {} {}", what.empty() ? "" : ", ", timing.before.batch,
                    times(1 / timing.throughput), what.empty() ? "the original's time" : "of it");
  }
  if (what.empty()) return what;
  return "it is slower on this machine: " + what + "; unless bytes matter more, keep the original";
}

}  // namespace sluice::tools::compress
