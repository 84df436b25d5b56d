// Do the arms get the share of units that they should? If not, something loses some of them, and
// no comparison of the arms can be trusted (sample ratio mismatch).
//
// A sequential multinomial test (Lindon and Malek, arXiv 2011.03567; Optimizely's `ssrm`): each
// unit's arm is predicted from the shares and from what was seen so far; E is how much better that
// prediction is than the shares alone. It may be looked at after every unit: with the shares as
// they should be it ever reaches 1,000 with probability at most 0.1 %. The prior is worth 10,000
// units, about where a loss of 1 to 5 % shows.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice::statistics {

class SampleRatio {
 public:
  explicit SampleRatio(std::size_t arms) : seen_(arms), expected_(arms) {}

  // A unit of this arm while the arms had these shares, which sum to 1.
  void add(std::size_t arm, std::span<const double> shares);

  double log_e() const { return log_e_; }
  // Once E has been over 1,000; stays.
  bool alarm() const { return alarm_; }
  std::span<const double> seen() const { return seen_; }
  std::span<const double> expected() const { return expected_; }

  struct State {
    std::vector<double> seen, expected;
    double log_e = 0;
    bool alarm = false;
  };
  State state() const { return {seen_, expected_, log_e_, alarm_}; }
  void restore(State state);

 private:
  double predicted(std::size_t arm, std::span<const double> shares) const;

  std::vector<double> seen_;
  std::vector<double> expected_;
  double log_e_ = 0;
  bool alarm_ = false;
};

}  // namespace sluice::statistics
