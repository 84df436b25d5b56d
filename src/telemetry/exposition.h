// Writes metrics as Prometheus reads them: its text format 0.0.4, or OpenMetrics 1.0 where the
// reader asks for it (prometheus.io/docs/instrumenting/exposition_formats, openmetrics.io).
//
// Thread-safety: one owner.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <concepts>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

class Exposition {
 public:
  enum class Format { kText, kOpenMetrics };
  explicit Exposition(Format format = Format::kText) : format_(format) {}

  // Counters' names end in "_total". `type`: counter, gauge, histogram or summary.
  void family(std::string_view name, std::string_view type, std::string_view help);
  // `name`: the family's, with "_bucket", "_sum" or "_count" where it has those. `labels`:
  // `model="m",version="1"`; texts that others chose go through `label_value`.
  template <class T>
  void sample(std::string_view name, std::string_view labels, T value) {
    out_ += name;
    if (!labels.empty()) fmt::format_to(std::back_inserter(out_), "{{{}}}", labels);
    out_ += ' ';
    if constexpr (std::floating_point<T>) {
      number(static_cast<double>(value));
    } else {
      fmt::format_to(std::back_inserter(out_), "{}", value);
    }
    out_ += '\n';
  }
  std::string take();

 private:
  void number(double value);

  const Format format_;
  std::string out_;
};

// Backslashes, quotes and line ends escaped.
std::string label_value(std::string_view text);

}  // namespace sluice
