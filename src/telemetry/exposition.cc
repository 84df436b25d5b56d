#include "telemetry/exposition.h"

namespace sluice {

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
  // OpenMetrics names a counter without the ending of its samples.
  if (format_ == Format::kOpenMetrics && type == "counter" && name.ends_with("_total")) {
    name.remove_suffix(6);
  } else if (format_ == Format::kOpenMetrics && type == "counter") {
    type = "unknown";  // it knows no counters without that ending
  }
  fmt::format_to(std::back_inserter(out_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void Exposition::number(double value) {
  if (std::isnan(value)) {
    out_ += "NaN";
  } else if (std::isinf(value)) {
    out_ += value > 0 ? "+Inf" : "-Inf";
  } else {
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
}

std::string Exposition::take() {
  if (format_ == Format::kOpenMetrics) out_ += "# EOF\n";
  return std::move(out_);
}

std::string label_value(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace sluice
