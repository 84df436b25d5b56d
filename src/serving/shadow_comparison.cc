#include "serving/shadow_comparison.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/json_writer.h"
#include "base/text.h"
#include "statistics/kolmogorov_smirnov.h"

namespace sluice::serving {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::size_t kMostValues = 64;  // of a kept row
constexpr std::size_t kMostBytes = 4096;
constexpr std::size_t kMostText = 128;  // bytes of one text
constexpr std::string_view kOthers = "(others)";

bool is_class(const Prediction& each) {
  return !each.labels.empty() || !each.probabilities.empty();
}

std::size_t classes_of(const Prediction& each) {
  return each.rows == 0 ? 0 : each.probabilities.size() / each.rows;
}

std::span<const double> probabilities_of(const Prediction& each, std::size_t row) {
  const std::size_t width = classes_of(each);
  return each.probabilities.subspan(row * width, width);
}

// |a - b|; nothing where they are the same, which infinities and two NaNs are too.
double difference_of(double a, double b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const double out = std::abs(a - b);
  return std::isfinite(out) ? out : kNan;
}

// The largest; NaN where there is one.
double largest_difference(std::span<const double> a, std::span<const double> b) {
  double out = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double each = difference_of(a[i], b[i]);
    if (std::isnan(each)) return kNan;
    out = std::max(out, each);
  }
  return out;
}

std::span<const double> values_of(const Prediction& each, std::size_t row) {
  return each.values.subspan(row * each.width(), each.width());
}

// The one number of a row that the test takes.
double score_of(const Prediction& each, std::size_t row) {
  if (is_class(each)) {
    const auto row_of = probabilities_of(each, row);
    if (row_of.empty()) return kNan;
    if (row_of.size() <= 2) return row_of.back();
    return *std::ranges::max_element(row_of);
  }
  return each.width() == 1 ? each.values[row] : kNan;
}

void write_number(JsonWriter& json, double number) {
  if (std::abs(number) < 1e15 && number == std::floor(number)) {
    json.value(static_cast<std::int64_t>(number));
  } else {
    json.value(number);
  }
}

std::string show(const Prediction& each, std::size_t row) {
  if (!each.labels.empty() && !each.labels[row].empty()) {
    return std::string(each.labels[row].substr(0, kMostText));
  }
  std::string out;
  JsonWriter json(out);
  const auto values = values_of(each, row);
  if (values.size() == 1) {
    write_number(json, values[0]);
    return out;
  }
  json.begin_array();
  for (const double value : values.first(std::min(values.size(), kMostValues))) {
    write_number(json, value);
  }
  json.end_array();
  return out;
}

// Writes inputs until there are too many values or bytes.
class RowWriter {
 public:
  explicit RowWriter(Disagreement& out) : out_(out), json_(out.inputs) { json_.begin_object(); }
  ~RowWriter() { json_.end_object(); }
  RowWriter(const RowWriter&) = delete;
  RowWriter& operator=(const RowWriter&) = delete;

  void add(std::string_view name, const TensorView& tensor, std::size_t row, std::size_t rows) {
    if (full()) return void(out_.cut = true);
    const bool by_row =
        tensor.shape.rank() > 0 && tensor.shape[0] == static_cast<std::int64_t>(rows) && rows > 0;
    const std::size_t width = by_row ? tensor.elements() / rows : tensor.elements();
    const std::size_t first = by_row ? row * width : 0;
    json_.key(name).begin_array();
    for (std::size_t i = first; i < first + width; ++i) {
      if (full()) {
        out_.cut = true;
        break;
      }
      ++values_;
      add_value(tensor, i);
    }
    json_.end_array();
  }

 private:
  // With room for one more text, every byte of it escaped.
  bool full() const {
    return values_ == kMostValues || out_.inputs.size() + 6 * kMostText > kMostBytes;
  }

  void add_value(const TensorView& tensor, std::size_t index) {
    if (tensor.dtype != DType::kString) return write_number(json_, number_at(tensor, index));
    const auto text = tensor.strings[index];
    if (text.size() > kMostText) out_.cut = true;
    json_.value(text.substr(0, kMostText));
  }

  Disagreement& out_;
  JsonWriter json_;
  std::size_t values_ = 0;
};

Failure not_comparable(std::string why) {
  return fail(Code::kFailedPrecondition, "not_comparable", std::move(why));
}

Result<void> check(const Prediction& primary, const Prediction& shadow) {
  if (is_class(primary) != is_class(shadow)) {
    return not_comparable("one of the two versions answers classes, the other does not");
  }
  if (primary.rows != shadow.rows) {
    return not_comparable("it answers " + std::to_string(shadow.rows) +
                          " rows; the version that "
                          "users get answers " +
                          std::to_string(primary.rows));
  }
  if (primary.width() != shadow.width()) {
    return not_comparable("a row's answer has " + std::to_string(shadow.width()) +
                          " values; that of the version that users get has " +
                          std::to_string(primary.width()));
  }
  return {};
}

template <std::size_t N>
std::array<double, N> quantiles_of(std::vector<double> values, const std::array<double, N>& at) {
  std::array<double, N> out{};
  if (values.empty()) return out;
  std::ranges::sort(values);
  for (std::size_t i = 0; i < N; ++i) {
    out[i] = values[static_cast<std::size_t>(at[i] * static_cast<double>(values.size() - 1))];
  }
  return out;
}

}  // namespace

struct ShadowComparison::Row {
  std::size_t index = 0;
  bool agrees = false;
  double difference = 0;                 // NaN: no number
  double probability_difference = kNan;  // NaN: cannot be compared
};

Result<ShadowComparison::Added> ShadowComparison::add(const ShadowPair& pair) {
  SLUICE_CHECK(check(pair.primary, pair.shadow));
  Added out;
  out.rows = std::min(pair.primary.rows, kMostRows);
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < out.rows; ++i) {
    const Row row = look(pair, i);
    if (!row.agrees) ++out.disagreed;
    count(pair, row);
  }
  if (pair.primary_ms && pair.shadow_ms) {
    primary_ms_.add(*pair.primary_ms);
    shadow_ms_.add(*pair.shadow_ms);
  }
  return out;
}

ShadowComparison::Row ShadowComparison::look(const ShadowPair& pair, std::size_t index) const {
  const Prediction& primary = pair.primary;
  const Prediction& shadow = pair.shadow;
  Row out;
  out.index = index;
  out.difference = largest_difference(values_of(primary, index), values_of(shadow, index));
  if (!is_class(primary)) {
    out.agrees = out.difference <= pair.tolerance;
    return out;
  }
  const bool named = !primary.labels.empty() && !shadow.labels.empty();
  out.agrees = named ? primary.labels[index] == shadow.labels[index] : out.difference == 0;
  // Lists in different orders: the same class has two places, or two classes one.
  if (out.agrees) out.difference = 0;
  if (!out.agrees && out.difference == 0) out.difference = 1;
  if (classes_of(primary) > 0 && classes_of(primary) == classes_of(shadow)) {
    out.probability_difference =
        largest_difference(probabilities_of(primary, index), probabilities_of(shadow, index));
  }
  return out;
}

void ShadowComparison::count(const ShadowPair& pair, const Row& row) {
  ++sums_.rows;
  if (row.agrees) ++sums_.agreed;
  if (std::isnan(row.difference)) {
    ++sums_.not_finite;
  } else {
    sums_.mean_difference += row.difference;
    sums_.max_difference = std::max(sums_.max_difference, row.difference);
  }
  if (!std::isnan(row.probability_difference)) {
    ++sums_.probability_rows;
    sums_.mean_probability_difference += row.probability_difference;
    sums_.max_probability_difference =
        std::max(sums_.max_probability_difference, row.probability_difference);
  }
  const Recent recent{row.difference, score_of(pair.primary, row.index),
                      score_of(pair.shadow, row.index)};
  if (recent_.size() < kRecent) {
    recent_.push_back(recent);
  } else {
    recent_[next_] = recent;
  }
  next_ = (next_ + 1) % kRecent;
  if (is_class(pair.primary)) note_class(pair, row);
  if (!row.agrees) note_worst(pair, row);
}

std::size_t ShadowComparison::class_index(const std::string& name) {
  const auto found = std::ranges::find(classes_, name);
  if (found != classes_.end()) return static_cast<std::size_t>(found - classes_.begin());
  if (classes_.size() < kMostClasses)
    classes_.push_back(name);
  else if (classes_.size() == kMostClasses)
    classes_.emplace_back(kOthers);
  return classes_.size() - 1;
}

void ShadowComparison::note_class(const ShadowPair& pair, const Row& row) {
  const std::size_t primary = class_index(show(pair.primary, row.index));
  const std::size_t shadow = class_index(show(pair.shadow, row.index));
  ++confusion_[{primary, shadow}];
}

void ShadowComparison::note_worst(const ShadowPair& pair, const Row& row) {
  Disagreement out;
  out.difference =
      std::isnan(row.probability_difference) ? row.difference : row.probability_difference;
  if (std::isnan(row.difference)) out.difference = kInfinity;
  auto& worst = sums_.worst;
  // The first of equals stays.
  if (worst.size() == kWorst && !(out.difference > worst.back().difference)) return;
  out.primary = show(pair.primary, row.index);
  out.shadow = show(pair.shadow, row.index);
  out.request_id = pair.request_id;
  out.row = row.index;
  out.at = pair.at;
  {
    RowWriter writer(out);
    for (std::size_t i = 0; i < pair.inputs.size(); ++i) {
      const auto name = i < pair.signature.inputs.size()
                            ? std::string_view(pair.signature.inputs[i].name)
                            : std::string_view();
      writer.add(name, pair.inputs[i], row.index, pair.primary.rows);
    }
  }
  const auto place = std::ranges::find_if(
      worst, [&](const Disagreement& each) { return each.difference < out.difference; });
  worst.insert(place, std::move(out));
  if (worst.size() > kWorst) worst.pop_back();
}

ShadowReport ShadowComparison::report() const {
  ShadowReport out;
  std::vector<Recent> recent;
  {
    const std::lock_guard lock(mutex_);
    out = sums_;
    recent = recent_;
    for (const auto& [pair, rows] : confusion_) {
      out.confusion[{classes_[pair.first], classes_[pair.second]}] = rows;
    }
    out.timed = primary_ms_.count();
    out.primary_ms = {primary_ms_.quantile(0.5), primary_ms_.quantile(0.95)};
    out.shadow_ms = {shadow_ms_.quantile(0.5), shadow_ms_.quantile(0.95)};
  }
  const auto numbers = out.rows - out.not_finite;
  if (numbers > 0) out.mean_difference /= static_cast<double>(numbers);
  if (out.probability_rows > 0) {
    out.mean_probability_difference /= static_cast<double>(out.probability_rows);
  }
  test_recent(std::move(recent), out);
  return out;
}

void ShadowComparison::test_recent(std::vector<Recent> recent, ShadowReport& out) const {
  std::vector<double> differences;
  std::vector<double> primary;
  std::vector<double> shadow;
  for (const Recent& each : recent) {
    if (!std::isnan(each.difference)) differences.push_back(each.difference);
    if (!std::isfinite(each.primary) || !std::isfinite(each.shadow)) continue;
    primary.push_back(each.primary);
    shadow.push_back(each.shadow);
  }
  out.quantiles = quantiles_of(std::move(differences), std::array{0.5, 0.95, 0.99});
  out.tested = primary.size();
  if (primary.empty()) return;
  const auto test = statistics::kolmogorov_smirnov(std::move(primary), std::move(shadow));
  out.ks_distance = test.distance;
  out.ks_p_value = test.p_value;
}

}  // namespace sluice::serving
