// What a simulation has found: lines of value, target and `met` or `NOT MET`, as the other groups
// of the benchmark print them, and the same as JSON for bench/run.py.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

// A number and how certain it is.
struct Measured {
  double value = 0;
  double low = 0;
  double high = 0;
};

// How many of `runs` it happened to, in percent, with Wilson's 95 % interval.
Measured percent(std::uint64_t happened, std::uint64_t runs);
// The quantile q (0 to 1), with the 10th and 90th percentile.
Measured quantile(std::vector<double> values, double q);
// With twice its standard error on both sides.
Measured mean(const std::vector<double>& values);
double standard_error(const std::vector<double>& values);

class Report {
 public:
  void heading(std::string_view text);
  void at_most(std::string_view what, Measured measured, double bound, std::string_view unit);
  void at_least(std::string_view what, Measured measured, double bound, std::string_view unit);
  // Within `room` of `expected`.
  void about(std::string_view what, Measured measured, double expected, double room,
             std::string_view unit);
  // To be known; nothing was promised.
  void note(std::string_view what, Measured measured, std::string_view unit);

  bool write(const std::filesystem::path& file) const;

 private:
  struct Line {
    std::string what;
    Measured measured;
    std::string_view sense;
    double bound;
    std::string unit;
    bool met;
  };
  void add(Line line, std::string_view target);

  std::vector<Line> lines_;
};

}  // namespace bench
