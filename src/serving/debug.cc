#include "serving/debug.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::serving {
namespace {

constexpr std::size_t kMostNamed = 5;
constexpr double kFar = 3;  // the seed's

double millis(TimePoint from, TimePoint to) {
  return to < from ? 0 : std::chrono::duration<double, std::milli>(to - from).count();
}

// "'age', 'income' and 3 more"
class Names {
 public:
  void add(const std::string& name) {
    if (++count_ > kMostNamed) return;
    if (count_ > 1) text_ += ", ";
    text_ += "'" + name + "'";
  }
  std::string text() const {
    if (count_ <= kMostNamed) return text_;
    return text_ + fmt::format(" and {} more", count_ - kMostNamed);
  }
  bool any() const { return count_ > 0; }

 private:
  std::string text_;
  std::size_t count_ = 0;
};

std::string name_of(const Signature& signature, std::size_t input, std::size_t element,
                    std::size_t width) {
  const std::size_t column = width == 0 ? element : element % width;
  if (column < signature.columns.size()) return signature.columns[column];
  const std::string& name = signature.inputs[input].name;
  return width == 1 ? name : fmt::format("{}[{}]", name, column);
}

// visit(input, element, number, width of a row)
template <class Visit>
void each_number(const Request& request, Visit visit) {
  for (std::size_t i = 0; i < request.inputs.size(); ++i) {
    const TensorView& input = request.inputs[i];
    if (input.dtype == DType::kString) continue;
    const std::size_t count = input.elements();
    const std::size_t width = request.rows == 0 ? count : count / request.rows;
    for (std::size_t j = 0; j < count; ++j) visit(i, j, number_at(input, j), width);
  }
}

InputStatistics statistics_of(const Request& request) {
  InputStatistics out;
  double sum = 0;
  out.min = std::numeric_limits<double>::infinity();
  out.max = -out.min;
  std::size_t known = 0;
  each_number(request, [&](std::size_t, std::size_t, double value, std::size_t) {
    ++out.count;
    if (std::isnan(value)) {
      ++out.nan_count;
      return;
    }
    ++known;
    sum += value;
    out.min = std::min(out.min, value);
    out.max = std::max(out.max, value);
  });
  if (known == 0) {
    out.mean = out.std = out.min = out.max = std::numeric_limits<double>::quiet_NaN();
    return out;
  }
  out.mean = sum / static_cast<double>(known);
  double squares = 0;  // around the mean: large means leave no small variance otherwise
  each_number(request, [&](std::size_t, std::size_t, double value, std::size_t) {
    if (!std::isnan(value)) squares += (value - out.mean) * (value - out.mean);
  });
  out.std = std::sqrt(squares / static_cast<double>(known));
  return out;
}

std::vector<std::string> anomalies_of(const Request& request, const Signature& signature,
                                      const InputStatistics& seen) {
  Names missing, infinite, far;
  each_number(request, [&](std::size_t input, std::size_t at, double value, std::size_t width) {
    if (std::isnan(value)) {
      missing.add(name_of(signature, input, at, width));
    } else if (std::isinf(value)) {
      infinite.add(name_of(signature, input, at, width));
    } else if (std::abs(value - seen.mean) / (seen.std + 1e-8) > kFar) {
      far.add(name_of(signature, input, at, width));
    }
  });
  std::vector<std::string> out;
  if (missing.any()) out.push_back("Contains NaN values: " + missing.text());
  if (infinite.any()) out.push_back("Contains infinite values: " + infinite.text());
  if (far.any()) out.push_back("Contains outliers (z-score > 3): " + far.text());
  return out;
}

}  // namespace

std::shared_ptr<const DebugInfo> debug_info(const Request& request, const Signature& signature,
                                            const Guard* guard) {
  auto out = std::make_shared<DebugInfo>();
  out->input = statistics_of(request);
  out->anomalies = anomalies_of(request, signature, out->input);
  if (guard != nullptr) {
    for (auto& each : guard->anomalies(request)) out->anomalies.push_back(std::move(each));
  }
  out->stages = {millis(request.arrived, request.submitted),
                 millis(request.submitted, request.run_began),
                 millis(request.run_began, request.run_ended)};
  out->from_cache = request.from_cache;
  out->probability = request.choice.probability;
  return out;
}

}  // namespace sluice::serving
