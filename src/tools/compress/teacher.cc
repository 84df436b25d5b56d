#include "tools/compress/teacher.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/text.h"
#include "core/label.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kBatch = 256;
constexpr std::size_t kMostColumns = 1 << 14;
constexpr std::size_t kMostClasses = 1000;

Failure not_for_students(std::string why) {
  return invalid("not_compressible",
                 "distill teaches models of one table of numbers, and " + std::move(why));
}

Role meaning_of(const TensorSpec& spec) {
  return spec.role != Role::kUnknown ? spec.role : role_by_name(spec);
}

// The first of the most telling kind.
std::size_t telling_output(const Signature& signature) {
  for (const auto role : {Role::kProbabilities, Role::kLogits, Role::kLabel}) {
    for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
      if (meaning_of(signature.outputs[i]) == role) return i;
    }
  }
  return 0;
}

template <class T>
std::span<const std::byte> converted(std::span<const float> from, Arena& arena) {
  auto out = arena.array<T>(from.size());
  std::ranges::transform(from, out.begin(), [](float x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(std::isnan(x) ? 0.0F : std::round(x));
    return static_cast<T>(x);
  });
  return std::as_bytes(out);
}

std::span<const std::byte> as_type(std::span<const float> from, DType dtype, Arena& arena) {
  switch (dtype) {
    case DType::kFloat64: return converted<double>(from, arena);
    case DType::kInt32: return converted<std::int32_t>(from, arena);
    case DType::kInt64: return converted<std::int64_t>(from, arena);
    default: return std::as_bytes(from);
  }
}

bool is_taken(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kInt32 ||
         dtype == DType::kInt64;
}

// The class's place in the model's list, its number where there is no list, or NaN.
double class_of_label(const TensorView& labels, std::size_t at, bool says_places,
                      const std::vector<std::string>& classes) {
  if (says_places || classes.empty()) {
    return labels.dtype == DType::kString ? std::nan("") : number_at(labels, at);
  }
  const auto place = place_of_label(labels, at, classes);
  return place ? static_cast<double>(*place) : std::nan("");
}

bool are_probabilities(std::span<const double> raw, std::size_t width) {
  for (std::size_t at = 0; at < raw.size(); at += width) {
    double sum = 0;
    for (const double p : raw.subspan(at, width)) {
      if (!std::isfinite(p)) continue;
      if (p < -1e-3 || p > 1.001) return false;
      sum += p;
    }
    if (width > 1 && sum != 0 && std::abs(sum - 1) > 0.01) return false;
  }
  return true;
}

bool finite(std::span<const double> raw) {
  return std::ranges::all_of(raw, [](double x) { return std::isfinite(x) && std::abs(x) < 3e38; });
}

}  // namespace

Result<Teacher> Teacher::load(const Task& task) {
  Teacher out;
  SLUICE_TRY(out.model_, task.lab.load(task.from));
  const auto& signature = out.signature();
  if (signature.inputs.size() != 1) {
    return not_for_students("this one takes " + std::to_string(signature.inputs.size()) +
                            " inputs");
  }
  const auto& input = signature.inputs[0];
  if (!is_taken(input.dtype)) {
    return not_for_students("this one takes " + std::string(name_of(input.dtype)) +
                            "; FP32, FP64, INT32 and INT64 can be taught");
  }
  if (!signature.batchable()) {
    return not_for_students("this one takes no rows: its first dimension is not free");
  }
  SLUICE_CHECK(out.find_row_dims(task));
  out.subject_.output = telling_output(signature);
  out.subject_.role = meaning_of(signature.outputs[out.subject_.output]);
  return out;
}

Result<void> Teacher::find_row_dims(const Task& task) {
  const auto dims = signature().inputs[0].row_dims();
  row_dims_.assign(dims.begin(), dims.end());
  const bool free = std::ranges::any_of(row_dims_, [](auto dim) { return dim < 0; });
  if (free) {
    if (task.calibration == nullptr || task.calibration->batches().empty()) {
      return not_for_students(
          "this one does not say how many columns; give rows with "
          "--calibration");
    }
    const auto& shape = task.calibration->batches()[0].inputs[0].shape;
    row_dims_.assign(shape.dims().begin() + 1, shape.dims().end());
  }
  columns_ = 1;
  for (const auto dim : row_dims_) {
    if (dim > 0 && static_cast<std::size_t>(dim) <= kMostColumns) {
      columns_ *= static_cast<std::size_t>(dim);
    }
    if (dim > 0 && columns_ <= kMostColumns) continue;
    return not_for_students("this one's rows have more than " + std::to_string(kMostColumns) +
                            " numbers, or none");
  }
  return {};
}

TeachingRows Teacher::rows_of(const Dataset& dataset) const {
  TeachingRows out{columns_, {}};
  for (const auto& batch : dataset.batches()) {
    const auto& tensor = batch.inputs[0];
    if (tensor.elements() != batch.rows * columns_) continue;  // of another length than the first
    for (std::size_t row = 0; row < batch.rows; ++row) {
      bool infinite = false;
      const auto before = out.values.size();
      for (std::size_t i = 0; i < columns_; ++i) {
        out.values.push_back(static_cast<float>(number_at(tensor, row * columns_ + i)));
        infinite = infinite || std::isinf(out.values.back());
      }
      if (infinite) out.values.resize(before);
    }
  }
  return out;
}

Result<void> Teacher::run(std::span<const float> rows, std::vector<double>& out) const {
  Arena arena;
  const std::size_t count = rows.size() / columns_;
  TensorView input;
  input.dtype = signature().inputs[0].dtype;
  input.shape.push(static_cast<std::int64_t>(count));
  for (const auto dim : row_dims_) input.shape.push(dim);
  input.data = as_type(rows, input.dtype, arena);
  std::vector<TensorView> outputs(signature().outputs.size());
  SLUICE_CHECK(model_->run({&input, 1}, outputs, arena));
  const auto& answer = outputs[subject_.output];
  if (answer.elements() == 0 || answer.elements() % count != 0) {
    return not_for_students("this one does not answer row by row");
  }
  const bool says_places = signature().outputs[subject_.output].says_places;
  for (std::size_t i = 0; i < answer.elements(); ++i) {
    out.push_back(subject_.role == Role::kLabel
                      ? class_of_label(answer, i, says_places, signature().classes)
                      : number_at(answer, i));
  }
  return {};
}

Result<void> Teacher::settle_subject(std::span<const double> raw, std::size_t rows) {
  const std::size_t width = raw.size() / rows;
  auto& role = subject_.role;
  if (role == Role::kProbabilities && !are_probabilities(raw, width)) role = Role::kValue;
  if (role == Role::kUnknown) {
    role = width > 1 && are_probabilities(raw, width) ? Role::kProbabilities : Role::kValue;
  }
  subject_.width = width;
  subject_.lesson = role == Role::kValue ? Lesson::kValues
                    : width == 1         ? Lesson::kBinary
                                         : Lesson::kClasses;
  if (role != Role::kLabel) return {};
  if (width != 1) return not_for_students("this one answers several classes for a row");
  double most = 1;
  for (const double label : raw) {
    if (!std::isfinite(label)) continue;
    if (label < 0 || label != std::floor(label) || label >= kMostClasses) {
      return not_for_students(
          "this one's classes are not numbers from 0 to 999 and it does not "
          "list them");
    }
    most = std::max(most, label);
  }
  subject_.lesson = Lesson::kClasses;
  subject_.width =
      std::max<std::size_t>(static_cast<std::size_t>(most) + 1, signature().classes.size());
  return {};
}

void Teacher::add_target(std::span<const double> raw, std::vector<float>& out) const {
  if (subject_.role == Role::kLabel) {
    out.resize(out.size() + subject_.width);
    const auto place = std::min(static_cast<std::size_t>(raw[0]), subject_.width - 1);
    out[out.size() - subject_.width + place] = 1;
    return;
  }
  if (subject_.role != Role::kLogits) {
    for (const double x : raw) out.push_back(static_cast<float>(x));
    return;
  }
  if (raw.size() == 1) {
    out.push_back(static_cast<float>(1 / (1 + std::exp(-raw[0]))));
    return;
  }
  const double most = *std::ranges::max_element(raw);
  double sum = 0;
  for (const double x : raw) sum += std::exp(x - most);
  for (const double x : raw) out.push_back(static_cast<float>(std::exp(x - most) / sum));
}

Result<Lessons> Teacher::ask(TeachingRows rows, const std::atomic<bool>& stop,
                             const std::function<void(double done)>& progress) {
  const std::size_t count = rows.count();
  Lessons out;
  out.rows.columns = columns_;
  if (count == 0) return out;
  std::vector<double> raw;
  for (std::size_t at = 0; at < count; at += kBatch) {
    if (stop) return stopped();
    progress(static_cast<double>(at) / static_cast<double>(count));
    const std::size_t size = std::min(kBatch, count - at);
    SLUICE_CHECK(run({rows.values.data() + at * columns_, size * columns_}, raw));
  }
  if (raw.size() % count != 0) return not_for_students("this one does not answer row by row");
  if (subject_.width == 0) SLUICE_CHECK(settle_subject(raw, count));
  const std::size_t width = raw.size() / count;
  for (std::size_t row = 0; row < count; ++row) {
    const auto answer = std::span<const double>(raw).subspan(row * width, width);
    if (!finite(answer)) {
      ++out.unanswered;
      continue;
    }
    out.rows.add(rows.row(row));
    add_target(answer, out.targets);
  }
  return out;
}

std::size_t class_of(std::span<const float> target) {
  if (target.size() == 1) return target[0] > 0.5F ? 1 : 0;
  return static_cast<std::size_t>(std::ranges::max_element(target) - target.begin());
}

}  // namespace sluice::tools::compress
