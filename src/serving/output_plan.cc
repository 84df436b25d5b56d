#include "serving/output_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/name_list.h"
#include "base/text.h"
#include "core/label.h"

namespace sluice::serving {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Result<std::size_t> named_output(const Signature& signature, const std::string& name,
                                 std::string_view key) {
  const auto at = signature.output_named(name);
  if (at != Signature::npos) return at;
  std::vector<std::string> known;
  for (const auto& output : signature.outputs) known.push_back(output.name);
  return invalid("bad_config", "output." + std::string(key) + " in model.yaml is '" +
                                   printable(name) + "', but the model's outputs are " +
                                   name_list(known));
}

// The number of columns of an output, 1 for [N] and [N,1], or 0 where it is free.
std::size_t columns_of(const TensorSpec& spec) {
  if (spec.dims.size() == 1) return 1;
  if (spec.dims.size() != 2) return 0;
  return spec.dims[1] < 0 ? 0 : static_cast<std::size_t>(spec.dims[1]);
}

// A row of it has one list of numbers at most: [N], [N, C], [N, C, 1, 1]. Of one that has more, a
// class for each place in a text or image say, a row is no single class.
bool is_one_list(const TensorSpec& spec) {
  return std::ranges::count_if(spec.row_dims(), [](std::int64_t dim) { return dim != 1; }) <= 1;
}

// What an output means: by the graph, else by its name, else by the number of labels.
Role role_of(const TensorSpec& spec, const ModelConfig& config) {
  if (!is_one_list(spec)) return Role::kValue;
  if (spec.role != Role::kUnknown) return spec.role;
  const bool table = spec.dims.size() == 1 || spec.dims.size() == 2;
  if (!table) return Role::kValue;
  if (const Role named = role_by_name(spec); named != Role::kUnknown) return named;
  const bool one_per_label = config.labels.size() > 1 && columns_of(spec) == config.labels.size();
  if (is_floating(spec.dtype) && one_per_label) return Role::kProbabilities;
  return spec.dtype == DType::kString ? Role::kLabel : Role::kValue;
}

std::size_t first_with(const std::vector<Role>& roles, Role role) {
  const auto found = std::ranges::find(roles, role);
  return found == roles.end() ? Signature::npos : static_cast<std::size_t>(found - roles.begin());
}

void choose_outputs(const Signature& signature, const ModelConfig& config, OutputPlan& plan) {
  std::vector<Role> roles;
  for (const auto& output : signature.outputs) roles.push_back(role_of(output, config));
  const bool free_choice = config.output.prediction.empty();
  if (plan.probabilities == Signature::npos && free_choice) {
    plan.probabilities = first_with(roles, Role::kProbabilities);
    if (plan.probabilities == Signature::npos) {
      plan.probabilities = first_with(roles, Role::kLogits);
    }
  }
  if (plan.value == Signature::npos) {
    plan.value = first_with(roles, Role::kLabel);
    plan.value_is_label = plan.value != Signature::npos;
  } else {
    plan.value_is_label = roles[plan.value] == Role::kLabel;
  }
  if (plan.value == Signature::npos && plan.probabilities == Signature::npos) plan.value = 0;
  if (plan.value != Signature::npos) {
    const auto& spec = signature.outputs[plan.value];
    // Of places that are no model's classes, model.yaml may say what they are called.
    const bool named = spec.says_places && !config.labels.empty() && columns_of(spec) == 1 &&
                       signature.classes.empty();
    plan.value_is_label = plan.value_is_label || (named && plan.probabilities == Signature::npos);
    plan.value_is_place = plan.value_is_label && spec.says_places;
  }
  if (plan.probabilities == Signature::npos) return;
  const auto& spec = signature.outputs[plan.probabilities];
  plan.activation = Activation::kNone;
  if (roles[plan.probabilities] == Role::kLogits) {
    plan.activation = columns_of(spec) == 1 ? Activation::kSigmoid : Activation::kSoftmax;
  }
  if (config.output.activation) plan.activation = *config.output.activation;
}

// Turns one row into probabilities in place.
void activate(std::span<double> row, Activation activation) {
  if (activation == Activation::kSigmoid) {
    for (double& x : row) x = 1.0 / (1.0 + std::exp(-x));
  } else if (activation == Activation::kSoftmax) {
    const double most = *std::ranges::max_element(row);
    double sum = 0;
    for (double& x : row) sum += x = std::exp(x - most);
    for (double& x : row) x /= sum;
  }
}

bool is_single(DType dtype) { return dtype != DType::kFloat64 && is_floating(dtype); }

// The place of a label in the model's list, or the label itself where it is a number without one.
double class_of_label(const OutputPlan& plan, const TensorView& labels, std::size_t row) {
  if (!plan.value_is_place) {
    const auto place = place_of_label(labels, row, plan.model_classes);
    if (place) return static_cast<double>(*place);
  }
  return labels.dtype == DType::kString ? kNan : number_at(labels, row);
}

void name_classes(const OutputPlan& plan, Prediction& out, Arena& arena) {
  if (plan.names.empty()) return;
  auto labels = arena.array<std::string_view>(out.rows);
  for (std::size_t row = 0; row < out.rows; ++row) {
    const double index = out.values[row];
    const bool known = index >= 0 && index < static_cast<double>(plan.names.size());
    labels[row] =
        known ? std::string_view(plan.names[static_cast<std::size_t>(index)]) : std::string_view();
  }
  out.labels = labels;
}

struct Scored {
  double best = 0;        // the class
  double confidence = 0;  // its probability
};

Scored score_row(std::span<const double> row, bool single) {
  if (row.size() == 1) {
    const double p = row[0];
    // In the model's own precision, so that 1 - p is what its library would print.
    const double rest = single ? static_cast<double>(1.0F - static_cast<float>(p)) : 1.0 - p;
    if (std::isnan(p)) return {kNan, kNan};
    return {p > 0.5 ? 1.0 : 0.0, std::max(p, rest)};
  }
  const auto best = std::ranges::max_element(row);
  if (std::ranges::any_of(row, [](double p) { return std::isnan(p); })) return {kNan, kNan};
  return {static_cast<double>(best - row.begin()), *best};
}

Result<Prediction> interpret_classes(const OutputPlan& plan, std::span<const TensorView> outputs,
                                     std::size_t rows, Arena& arena) {
  const TensorView& scores = outputs[plan.probabilities];
  const std::size_t width = rows == 0 ? 0 : scores.elements() / rows;
  if (width == 0 || width * rows != scores.elements()) {
    return internal("the model's probabilities do not fit the number of rows");
  }
  Prediction out;
  out.rows = rows;
  out.classified = true;
  out.single_precision = is_single(scores.dtype);
  auto values = arena.array<double>(rows);
  auto confidences = arena.array<double>(rows);
  auto probabilities = arena.array<double>(rows * width);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto part = probabilities.subspan(row * width, width);
    for (std::size_t i = 0; i < width; ++i) part[i] = number_at(scores, row * width + i);
    activate(part, plan.activation);
    const Scored scored = score_row(part, out.single_precision);
    values[row] = scored.best;
    confidences[row] = scored.confidence;
    if (plan.value_is_label) values[row] = class_of_label(plan, outputs[plan.value], row);
    if (!std::isfinite(values[row]) || !std::isfinite(confidences[row])) out.not_finite = true;
  }
  out.values = values;
  out.confidences = confidences;
  out.probabilities = probabilities;
  name_classes(plan, out, arena);
  return out;
}

Result<Prediction> interpret_values(const OutputPlan& plan, std::span<const TensorView> outputs,
                                    std::size_t rows, Arena& arena) {
  const TensorView& tensor = outputs[plan.value];
  const std::size_t count = tensor.elements();
  Prediction out;
  out.rows = rows;
  out.classified = plan.value_is_label;
  out.single_precision = is_single(tensor.dtype);
  const bool by_row =
      rows > 0 && tensor.shape.rank() > 0 && tensor.shape[0] == static_cast<std::int64_t>(rows);
  out.row_shape = by_row ? tensor.shape.row() : tensor.shape;
  if (!by_row) out.rows = 1;
  // [N,1] is a number a row, not a list of one.
  if (out.row_shape.rank() == 1 && out.row_shape[0] == 1) out.row_shape = Shape();
  auto values = arena.array<double>(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = plan.value_is_label              ? class_of_label(plan, tensor, i)
                : tensor.dtype == DType::kString ? kNan
                                                 : number_at(tensor, i);
    if (!std::isfinite(values[i])) out.not_finite = true;
  }
  auto confidences = arena.array<double>(out.rows);
  std::ranges::fill(confidences, 1.0);
  out.values = values;
  out.confidences = confidences;
  const bool wide = tensor.dtype == DType::kInt64 || tensor.dtype == DType::kUint64;
  if (wide && !plan.value_is_label) out.integers = &tensor;
  if (!plan.value_is_label || count != out.rows) return out;
  if (tensor.dtype == DType::kString && plan.model_classes.empty()) {
    out.labels = tensor.strings;
  } else {
    name_classes(plan, out, arena);
  }
  return out;
}

// Whether every class has a label. Of a label alone it is not sure that the model's list is its own
// (it may be that of a part, which tells two of many classes): more may be right.
bool fit(const std::vector<std::string>& labels, std::size_t classes, bool sure) {
  return sure ? labels.size() == classes : labels.size() >= classes;
}

Result<void> check_labels(const Signature& signature, const OutputPlan& plan,
                          const std::vector<std::string>& labels) {
  std::size_t classes = plan.value_is_label ? signature.classes.size() : 0;
  const bool sure = plan.probabilities != Signature::npos;
  if (sure) {
    const auto columns = columns_of(signature.outputs[plan.probabilities]);
    classes = columns == 1 ? 2 : columns;
  }
  if (classes == 0 || labels.empty() || fit(labels, classes, sure)) return {};
  return invalid("bad_config", "model.yaml has " + std::to_string(labels.size()) +
                                   " labels, but the model has " + std::to_string(classes) +
                                   " classes");
}

}  // namespace

Result<OutputPlan> make_output_plan(const Signature& signature, const ModelConfig& config) {
  OutputPlan plan;
  if (signature.outputs.empty()) return invalid("bad_model", "the model has no outputs");
  if (!config.output.prediction.empty()) {
    SLUICE_TRY(plan.value, named_output(signature, config.output.prediction, "prediction"));
  }
  if (!config.output.probabilities.empty()) {
    SLUICE_TRY(plan.probabilities,
               named_output(signature, config.output.probabilities, "probabilities"));
  }
  choose_outputs(signature, config, plan);
  plan.model_classes = signature.classes;
  if (!config.labels.empty()) {
    plan.names = config.labels;
  } else if (!signature.class_names.empty()) {
    plan.names = signature.class_names;
  } else if (signature.classes_are_names) {
    plan.names = signature.classes;
  }
  if (plan.probabilities == Signature::npos && !plan.value_is_label) plan.names.clear();
  SLUICE_CHECK(check_labels(signature, plan, config.labels));
  return plan;
}

Result<Prediction> interpret(const OutputPlan& plan, std::span<const TensorView> outputs,
                             std::size_t rows, Arena& arena) {
  return plan.probabilities != Signature::npos ? interpret_classes(plan, outputs, rows, arena)
                                               : interpret_values(plan, outputs, rows, arena);
}

}  // namespace sluice::serving
