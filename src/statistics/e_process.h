// Evidence that may be looked at after every event: does one of two arms cause more of the bad
// events than its share of the traffic explains?
//
// Only bad events are looked at. While the treated arm's rate is at most `tolerance` times the
// other's, each of them is the treated arm's with probability at most
//     t = tolerance * share / (tolerance * share + 1 - share)
// whatever the rates are and however they change, so that swings of traffic and ramps of the share
// cancel out (Lindon and Malek, arXiv 2011.03567, section 4). E is the likelihood of what happened
// under a mixture of worse ratios, divided by that under t: a supermartingale that begins at 1, so
// that it ever reaches 1/alpha with probability at most alpha (Ville's inequality).
//
// What is mixed are several ratios and the event from which on they hold: from the first with
// weight 1/2, from the event k after it with 1/((k + 1)(k + 2)); what has not begun is kept in
// reserve and neither gains nor loses. A canary that was good for days and then breaks is found
// almost as soon as one that is bad from the beginning, where a likelihood from the first event
// would have days to make up for. A mean of supermartingales is one, whatever its weights.
//
// With multiples below 1 it is the mirror: evidence that the ratio is *below* the tolerance.
//
// Thread-safety: one owner. Source of the ratios: docs/decisions/0033.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace sluice::statistics {

class EProcess {
 public:
  static constexpr std::size_t kMost = 8;

  // What the ratio is compared with: these multiples of the tolerance.
  static std::span<const double> worse();
  static std::span<const double> better();

  // `multiples`: at most kMost.
  EProcess(double tolerance, std::span<const double> multiples);

  // A bad event of the treated arm or of the other, while `share` of the traffic (0 to 1) was
  // treated. `temper` (at least 1): how many events come together; each then counts for 1/temper of
  // one, which is valid for any value that was known before the event.
  void add(bool treated, double share, double temper = 1.0);

  // At most 1e300 for each ratio, which no limit comes near.
  double e() const;
  double log_e() const { return std::log(e()); }
  // The greatest so far: 1 / best() is an always-valid p-value.
  double best() const { return best_; }
  double log_best() const { return std::log(best_); }

  // What must survive a restart, bit by bit.
  using State = std::array<double, kMost + 2>;
  State state() const;
  void restore(const State& state);

 private:
  void prepare(double share, double temper);

  double tolerance_;
  std::array<double, kMost> multiples_{};
  std::size_t count_;
  std::array<double, kMost> worth_{};  // of each ratio: its part of E
  double reserve_ = 1;                 // after k events 1 / (k + 1)
  double best_ = 1;
  // What an event multiplies by at the share and temper that were asked for last.
  double share_ = -1;
  double temper_ = -1;
  std::array<double, kMost> treated_{};
  std::array<double, kMost> other_{};
};

}  // namespace sluice::statistics
