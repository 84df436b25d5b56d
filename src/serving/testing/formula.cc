#include "serving/testing/formula.h"

#include <algorithm>

#include "serving/model_servable.h"

namespace sluice::serving::testing {

Formula::Formula(FormulaOptions options, Function function)
    : options_(options), function_(std::move(function)) {
  const auto width = static_cast<std::int64_t>(options.width);
  for (std::size_t i = 0; i < (options.apart ? options.width : 1); ++i) {
    const std::int64_t columns = options.apart ? 1 : width;
    signature_.inputs.push_back(
        {"x" + std::to_string(i), options.dtype, {options.first_dim, columns}, Role::kUnknown});
  }
  signature_.outputs.push_back({"y",
                                DType::kFloat64,
                                {options.first_dim, static_cast<std::int64_t>(options.answers)},
                                options.role});
}

Result<void> Formula::run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                          Arena& arena) const {
  const auto rows = static_cast<std::size_t>(inputs[0].shape[0]);
  rows_asked_ += rows;
  most_at_once_ = std::max<std::size_t>(most_at_once_, rows);
  auto answers = arena.array<double>(rows * options_.answers);
  std::vector<double> row(options_.width);
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i] = options_.apart ? number_at(inputs[i], r) : number_at(inputs[0], r * row.size() + i);
    }
    if (options_.refuses_zero && row[0] == 0) {
      return fail(Code::kInternal, "engine_failed", "the model failed to run on this input");
    }
    function_(row, answers.subspan(r * options_.answers, options_.answers));
  }
  outputs[0] = TensorView{DType::kFloat64,
                          {inputs[0].shape[0], static_cast<std::int64_t>(options_.answers)},
                          std::as_bytes(answers),
                          {}};
  return {};
}

Result<Attributions> Formula::explain(std::span<const TensorView> inputs, Arena& arena) const {
  const auto rows = static_cast<std::size_t>(inputs[0].shape[0]);
  const std::size_t groups = options_.answers;
  auto values = arena.array<double>(rows * groups * options_.width);
  auto base = arena.array<double>(groups);
  for (std::size_t g = 0; g < groups; ++g) base[g] = static_cast<double>(g) + 0.5;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / (groups * options_.width);
    const std::size_t group = i / options_.width % groups;
    const std::size_t feature = i % options_.width;
    values[i] =
        number_at(inputs[0], row * options_.width + feature) * static_cast<double>(group + 1);
  }
  return Attributions{"tree_shap", rows, groups, options_.width, values, base};
}

Served::Served(FormulaOptions options, Formula::Function function, const ModelConfig& config) {
  auto loaded = std::make_unique<Formula>(options, std::move(function));
  model = loaded.get();
  auto made = make_servable_factory()->make(*ModelName::parse("m"), *VersionName::parse("v1"),
                                            std::move(loaded), config, 1, std::make_shared<Tally>(),
                                            nullptr);
  if (made) {
    servable = *made;
  } else {
    error = made.error();
  }
}

}  // namespace sluice::serving::testing
