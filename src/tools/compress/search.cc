#include "tools/compress/search.h"

#include <algorithm>

#include "tools/compress/method.h"

namespace sluice::tools::compress {
namespace {

constexpr double kSameLatency = 0.05;

// -1: faster, 1: slower, 0: no telling.
int compare_latency(double a, double b) {
  if (a < b * (1 - kSameLatency)) return -1;
  return b < a * (1 - kSameLatency) ? 1 : 0;
}

bool dominates(const Tried& a, const Tried& b) {
  const int latency = compare_latency(a.p50_us, b.p50_us);
  const bool no_worse = a.bytes <= b.bytes && latency <= 0 && a.drop <= b.drop;
  return no_worse && (a.bytes < b.bytes || latency < 0 || a.drop < b.drop);
}

std::size_t place_of(const std::string& chain) {
  const auto name = chain.substr(0, chain.find(':'));
  const auto& all = methods();
  const auto found = std::ranges::find(all, name, &Method::name);
  return static_cast<std::size_t>(found - all.begin());
}

}  // namespace

std::vector<std::string> single_methods(const std::filesystem::path& file, bool calibrated) {
  std::vector<std::string> out;
  const std::string name = file.filename().string();
  for (const auto& method : methods()) {
    const bool taken = std::ranges::any_of(
        method->takes(), [&](std::string_view end) { return name.ends_with(end); });
    if (!taken || (method->needs_calibration() && !calibrated)) continue;
    for (const auto& settings : method->variants()) {
      out.push_back(std::string(method->name()) + (settings.empty() ? "" : ":" + settings));
    }
  }
  return out;
}

std::vector<std::string> combined_methods(std::span<const Tried> tried,
                                          std::span<const std::size_t> front) {
  std::vector<std::string> out;
  const auto single = [](const std::string& method) {
    return !method.empty() && !method.contains('+');
  };
  for (const auto first : front) {
    for (const auto second : front) {
      const auto& a = tried[first].method;
      const auto& b = tried[second].method;
      if (!single(a) || !single(b) || place_of(a) >= place_of(b)) continue;
      auto both = a + "+" + b;
      if (std::ranges::find(tried, both, &Tried::method) == tried.end()) {
        out.push_back(std::move(both));
      }
    }
  }
  return out;
}

std::vector<std::size_t> pareto_front(std::span<const Tried> tried) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < tried.size(); ++i) {
    const bool beaten =
        std::ranges::any_of(tried, [&](const Tried& other) { return dominates(other, tried[i]); });
    if (!beaten) out.push_back(i);
  }
  std::ranges::stable_sort(out, {}, [&](std::size_t i) { return tried[i].bytes; });
  return out;
}

}  // namespace sluice::tools::compress
