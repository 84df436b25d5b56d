#include "tools/compress/figures.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace sluice::tools::compress {

std::string bytes_text(double bytes) {
  if (bytes < 1e3) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.2f} MB", bytes / 1e6);
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string percent(double share) { return fmt::format("{:.2f} %", 100 * share); }

std::string times(double ratio) { return fmt::format("{:.2f} ×", ratio); }

std::string microseconds_text(double time) {
  return time < 1e3 ? fmt::format("{:.1f} µs", time) : fmt::format("{:.2f} ms", time / 1e3);
}

std::size_t shown_width(std::string_view text) {
  std::size_t out = 0;
  for (; !text.empty(); ++out) {
    text.remove_prefix(std::max<std::size_t>(1, utf8_length(text)));
  }
  return out;
}

}  // namespace sluice::tools::compress
