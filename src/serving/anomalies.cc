#include "serving/anomalies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::serving {
namespace {

constexpr std::size_t kMostNamed = 5;

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

}  // namespace

InputStatistics input_statistics(const Request& request) {
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

std::vector<std::string> anomalies_within(const Request& request, const Signature& signature,
                                          const InputStatistics& seen, double far) {
  Names missing, infinite, outliers;
  each_number(request, [&](std::size_t input, std::size_t at, double value, std::size_t width) {
    if (std::isnan(value)) {
      missing.add(name_of(signature, input, at, width));
    } else if (std::isinf(value)) {
      infinite.add(name_of(signature, input, at, width));
    } else if (std::abs(value - seen.mean) / (seen.std + 1e-8) > far) {
      outliers.add(name_of(signature, input, at, width));
    }
  });
  std::vector<std::string> out;
  if (missing.any()) out.push_back("Contains NaN values: " + missing.text());
  if (infinite.any()) out.push_back("Contains infinite values: " + infinite.text());
  if (outliers.any()) {
    out.push_back(fmt::format("Contains outliers (z-score > {}): {}", far, outliers.text()));
  }
  return out;
}

}  // namespace sluice::serving
