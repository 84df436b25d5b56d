#include "report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace bench {

Measured percent(std::uint64_t happened, std::uint64_t runs) {
  if (runs == 0) return {};
  constexpr double kZ = 1.96;
  const auto n = static_cast<double>(runs);
  const double part = static_cast<double>(happened) / n;
  const double weight = 1 + kZ * kZ / n;
  const double middle = (part + kZ * kZ / (2 * n)) / weight;
  const double half = kZ / weight * std::sqrt(part * (1 - part) / n + kZ * kZ / (4 * n * n));
  return {100 * part, 100 * std::max(0.0, middle - half), 100 * std::min(1.0, middle + half)};
}

Measured quantile(std::vector<double> values, double q) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const auto at = [&](double part) {
    return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
  };
  return {at(q), at(0.1), at(0.9)};
}

double standard_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  if (n < 2) return 0;
  double sum = 0;
  for (const double value : values) sum += value;
  double squares = 0;
  for (const double value : values) squares += (value - sum / n) * (value - sum / n);
  return std::sqrt(squares / (n - 1) / n);
}

Measured mean(const std::vector<double>& values) {
  if (values.empty()) return {};
  double sum = 0;
  for (const double value : values) sum += value;
  const double out = sum / static_cast<double>(values.size());
  const double error = 2 * standard_error(values);
  return {out, out - error, out + error};
}

void Report::heading(std::string_view text) {
  fmt::print("\n{}\n", text);
  std::fflush(stdout);
}

void Report::add(Line line, std::string_view target) {
  const auto spread = fmt::format("({:.2f} – {:.2f})", line.measured.low, line.measured.high);
  const auto unit = line.unit + std::string(line.unit == "×" || line.unit.size() > 2 ? 0 : 1, ' ');
  fmt::print("{:<74} {:>9.2f} {:<4} {:<21} {:<14}{}\n", line.what, line.measured.value, unit,
             spread, target,
             target.empty() ? ""
             : line.met     ? "met"
                            : "NOT MET");
  std::fflush(stdout);
  lines_.push_back(std::move(line));
}

void Report::at_most(std::string_view what, Measured measured, double bound,
                     std::string_view unit) {
  add({std::string(what), measured, "≤", bound, std::string(unit), measured.value <= bound},
      fmt::format("≤ {:g}", bound));
}

void Report::at_least(std::string_view what, Measured measured, double bound,
                      std::string_view unit) {
  add({std::string(what), measured, "≥", bound, std::string(unit), measured.value >= bound},
      fmt::format("≥ {:g}", bound));
}

void Report::about(std::string_view what, Measured measured, double expected, double room,
                   std::string_view unit) {
  const bool met = std::abs(measured.value - expected) <= room;
  add({std::string(what), measured, "≈", expected, std::string(unit), met},
      fmt::format("{:g} ± {:.3g}", expected, room));
}

void Report::note(std::string_view what, Measured measured, std::string_view unit) {
  add({std::string(what), measured, "", 0, std::string(unit), true}, "");
}

bool Report::write(const std::filesystem::path& file) const {
  auto out = nlohmann::ordered_json::array();
  for (const auto& line : lines_) {
    nlohmann::ordered_json entry = {{"target", line.what},
                            {"unit", line.unit},
                            {"value", line.measured.value},
                            {"min", line.measured.low},
                            {"max", line.measured.high}};
    if (!line.sense.empty()) {
      entry.update({{"sense", line.sense}, {"bound", line.bound}, {"met", line.met}});
    }
    out.push_back(std::move(entry));
  }
  std::ofstream stream(file);
  stream << out.dump(1) << '\n';
  return stream.good();
}

}  // namespace bench
