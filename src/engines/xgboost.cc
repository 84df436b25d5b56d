#include "engines/xgboost.h"

#include <fmt/format.h>
#include <xgboost/c_api.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "engines/xgboost_convert.h"
#include "engines/xgboost_file.h"
#include "engines/xgboost_trees.h"

namespace sluice::engines {
namespace {

using nlohmann::json;

// A file that is read once more for its trees.
constexpr std::size_t kLargest = std::size_t{128} << 20;

// Of trees that are explained: TreeSHAP calls itself for each level, and its memory grows with the
// square of the depth.
constexpr std::size_t kDeepestExplained = 1000;

// XGBoost's error texts carry paths and stack traces: only their first line is logged, and none is
// shown to users.
void log_last_error() {
  const std::string_view text = XGBGetLastError();
  log::debug("XGBoost: " + printable(text.substr(0, text.find('\n')), 300));
}

struct FreeBooster {
  void operator()(void* booster) const { XGBoosterFree(booster); }
};
using Booster = std::unique_ptr<void, FreeBooster>;

struct FreeMatrix {
  void operator()(void* matrix) const { XGDMatrixFree(matrix); }
};
using Matrix = std::unique_ptr<void, FreeMatrix>;

// What a booster says of itself.
struct BoosterFacts {
  std::string objective;
  std::string booster;
  std::size_t classes = 0;
  std::size_t trees = 0;
  std::size_t iterations = 0;  // 0: all
  std::size_t deepest = 0;     // splits before a leaf
};

// Settings are texts or numbers, depending on the version that wrote the file.
std::size_t as_size(const json& value) {
  if (value.is_number_unsigned()) return value.get<std::size_t>();
  if (value.is_string()) return parse_uint(value.get<std::string>()).value_or(0);
  return 0;
}

Result<BoosterFacts> read_facts(BoosterHandle booster) {
  bst_ulong length = 0;
  const char* text = nullptr;
  if (XGBoosterSaveJsonConfig(booster, &length, &text) != 0) {
    log_last_error();
    return invalid("bad_model", "XGBoost cannot describe the model");
  }
  const auto config = json::parse(text, text + length, nullptr, false);
  if (!config.is_object()) return invalid("bad_model", "XGBoost cannot describe the model");
  const auto learner = config.value("learner", json::object());
  BoosterFacts facts;
  facts.objective = learner.value("objective", json::object()).value("name", "");
  facts.classes =
      as_size(learner.value("learner_model_param", json::object()).value("num_class", json()));
  const auto booster_config = learner.value("gradient_booster", json::object());
  facts.booster = booster_config.value("name", "");
  facts.trees = as_size(
      booster_config.value("gbtree_model_param", json::object()).value("num_trees", json()));
  // After early stopping, XGBoost's own estimators predict with the best iteration only.
  const char* best = nullptr;
  int found = 0;
  if (XGBoosterGetAttr(booster, "best_iteration", &best, &found) == 0 && found == 1) {
    facts.iterations = parse_uint(best).value_or(0) + 1;
  }
  return facts;
}

class XgboostModel final : public Model {
 public:
  XgboostModel(Booster booster, BoosterFacts facts)
      : booster_(std::move(booster)), facts_(std::move(facts)) {}

  Result<void> describe() {
    bst_ulong features = 0;
    if (XGBoosterGetNumFeature(booster_.get(), &features) != 0 || features == 0) {
      return invalid("bad_model", "the XGBoost model does not say how many features it has");
    }
    columns_ = features;
    signature_.inputs.push_back(
        {"features", DType::kFloat32, {-1, static_cast<std::int64_t>(features)}, Role::kUnknown});
    read_feature_names();
    describe_output();
    config_ = fmt::format(R"({{"type":0,"training":false,"iteration_begin":0,"iteration_end":{},)"
                          R"("strict_shape":true,"cache_id":0,"missing":NaN}})",
                          facts_.iterations);
    explain_config_ = fmt::format(R"({{"type":2,"training":false,"iteration_begin":0,)"
                                  R"("iteration_end":{},"strict_shape":true}})",
                                  facts_.iterations);
    return try_one_row();
  }

  // Trees that are answered here, if they answer as the library does.
  void use_trees(std::string_view json) {
    auto trees = XgboostTrees::read(json, facts_.iterations);
    const auto width = static_cast<std::size_t>(signature_.outputs[0].dims[1]);
    if (!trees || trees->columns() != columns_ || trees->groups() != width) return;
    const bool agrees = trees->agrees([&](std::span<const float> rows) -> std::span<const float> {
      TensorView view;
      view.shape = {static_cast<std::int64_t>(rows.size() / columns_),
                    static_cast<std::int64_t>(columns_)};
      view.data = std::as_bytes(rows);
      const bst_ulong* shape = nullptr;
      bst_ulong rank = 0;
      const float* result = nullptr;
      if (predict(view, &shape, &rank, &result) != 0 || rank < 2) return {};
      return {result, shape[0] * shape[1]};
    });
    if (agrees) {
      trees_ = std::move(trees);
    } else {
      log::debug("XGBoost: its trees answer otherwise here, so that the library answers");
    }
  }

  const Signature& signature() const override { return signature_; }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const TensorView& rows = inputs[0];
    if (trees_) {
      const auto count = static_cast<std::size_t>(rows.shape[0]);
      outputs[0].shape = {rows.shape[0], static_cast<std::int64_t>(trees_->groups())};
      SLUICE_TRY(const auto values, element_count(outputs[0].shape.dims()));
      auto answers = arena.array<float>(values);
      trees_->predict({reinterpret_cast<const float*>(rows.data.data()), count * columns_},
                      answers);
      outputs[0].dtype = DType::kFloat32;
      outputs[0].data = std::as_bytes(answers);
      return {};
    }
    const bst_ulong* shape = nullptr;
    bst_ulong rank = 0;
    const float* result = nullptr;
    // The result lies in memory of this thread inside XGBoost until its next prediction.
    if (predict(rows, &shape, &rank, &result) != 0) {
      log_last_error();
      return fail(Code::kInternal, "engine_failed", "the model failed to run on this input");
    }
    const auto count = rank < 2 ? 0 : shape[0] * shape[1];
    const auto width = static_cast<std::size_t>(signature_.outputs[0].dims[1]);
    if (count != static_cast<std::size_t>(rows.shape[0]) * width) {
      return internal("XGBoost returned an unexpected number of values");
    }
    auto values = arena.array<float>(count);
    if (count > 0) std::memcpy(values.data(), result, count * sizeof(float));
    outputs[0].dtype = DType::kFloat32;
    outputs[0].shape = {rows.shape[0], static_cast<std::int64_t>(width)};
    outputs[0].data = std::as_bytes(values);
    return {};
  }

  bool explains() const override { return facts_.deepest <= kDeepestExplained; }

  // TreeSHAP (Lundberg and others, Nature Machine Intelligence 2, 2020), of trees that answer for
  // what they have not seen by how often training rows went each way; of linear models weight by
  // value. XGBoost offers both only by way of a matrix of its own.
  Result<Attributions> explain(std::span<const TensorView> inputs, Arena& arena) const override {
    SLUICE_TRY(const auto matrix, matrix_of(inputs[0]));
    const bst_ulong* shape = nullptr;
    bst_ulong rank = 0;
    const float* result = nullptr;
    if (XGBoosterPredictFromDMatrix(booster_.get(), matrix.get(), explain_config_.c_str(), &shape,
                                    &rank, &result) != 0) {
      log_last_error();
      return fail(Code::kInternal, "engine_failed", "XGBoost cannot explain this model's answers");
    }
    if (rank != 3 || shape[0] != static_cast<std::size_t>(inputs[0].shape[0]) ||
        shape[2] != columns_ + 1) {
      return internal("XGBoost explained with an unexpected number of values");
    }
    return split(result, shape[0], shape[1], arena);
  }

  std::string_view platform() const override { return "xgboost"; }
  // XGBoost promises it for trees only.
  bool thread_safe() const override { return !linear(); }
  std::vector<Fact> facts() const override {
    return {{"objective", facts_.objective},
            {"booster", facts_.booster},
            {"trees", std::to_string(facts_.trees)}};
  }
  std::uint64_t parameters() const override { return 0; }

 private:
  bool linear() const { return facts_.booster == "gblinear"; }

  // Not 0: it failed, and XGBoost says why.
  int predict(const TensorView& rows, const bst_ulong** shape, bst_ulong* rank,
              const float** result) const {
    if (!linear()) {
      return XGBoosterPredictFromDense(booster_.get(), array_interface(rows).c_str(),
                                       config_.c_str(), nullptr, shape, rank, result);
    }
    const auto matrix = matrix_of(rows);
    if (!matrix) return -1;
    return XGBoosterPredictFromDMatrix(booster_.get(), matrix->get(), config_.c_str(), shape, rank,
                                       result);
  }

  // NumPy's array interface, which the C API reads (numpy.org, "The array interface protocol").
  static std::string array_interface(const TensorView& rows) {
    return fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                       reinterpret_cast<std::uintptr_t>(rows.data.data()), rows.shape[0],
                       rows.shape[1]);
  }

  static Result<Matrix> matrix_of(const TensorView& rows) {
    const auto text = array_interface(rows);
    DMatrixHandle handle = nullptr;
    if (XGDMatrixCreateFromDense(text.c_str(), R"({"missing":NaN,"nthread":1})", &handle) != 0) {
      log_last_error();
      return invalid("not_explainable",
                     "XGBoost does not explain rows with infinite values; send numbers, or null "
                     "where a value is missing");
    }
    return Matrix(handle);
  }

  // Each row of a group has its base value after its features; it is the same in all.
  Result<Attributions> split(const float* result, std::size_t rows, std::size_t groups,
                             Arena& arena) const {
    auto values = arena.array<double>(rows * groups * columns_);
    auto base = arena.array<double>(groups);
    std::ranges::fill(base, 0.0);
    auto out = values.begin();
    for (std::size_t i = 0; i < rows * groups; ++i, result += columns_ + 1) {
      out = std::copy_n(result, columns_, out);
      base[i % groups] = result[columns_];
    }
    return Attributions{
        linear() ? "linear_shap" : "tree_shap", rows, groups, columns_, values, base};
  }

  void read_feature_names() {
    bst_ulong count = 0;
    const char** names = nullptr;
    if (XGBoosterGetStrFeatureInfo(booster_.get(), "feature_name", &count, &names) != 0) return;
    if (count != columns_) return;
    for (bst_ulong i = 0; i < count; ++i) signature_.columns.emplace_back(names[i]);
  }

  void describe_output() {
    const std::string_view objective = facts_.objective;
    TensorSpec out;
    out.dims = {-1, 1};
    if (objective == "multi:softprob") {
      out.name = "probabilities";
      out.dims[1] = static_cast<std::int64_t>(facts_.classes);
      out.role = Role::kProbabilities;
    } else if (objective == "binary:logistic") {
      out.name = "probability";
      out.role = Role::kProbabilities;
    } else if (objective == "binary:logitraw") {
      out.name = "logit";
      out.role = Role::kLogits;
    } else if (objective == "multi:softmax" || objective == "binary:hinge") {
      out.name = "label";
      out.role = Role::kLabel;
    } else {
      out.name = "prediction";
      out.role = Role::kValue;
    }
    signature_.outputs.push_back(std::move(out));
  }

  // Shows whether this kind of booster can predict so.
  Result<void> try_one_row() {
    Arena arena;
    TensorView row;
    row.shape = {1, static_cast<std::int64_t>(columns_)};
    auto zeros = arena.array<float>(columns_);
    std::ranges::fill(zeros, 0.0F);
    row.data = std::as_bytes(zeros);
    TensorView out;
    if (auto tried = run({&row, 1}, {&out, 1}, arena); !tried) {
      return invalid("bad_model",
                     "XGBoost cannot predict with this model; boosters gbtree, dart and "
                     "gblinear are supported, this one is '" +
                         facts_.booster + "'");
    }
    return {};
  }

  Booster booster_;
  BoosterFacts facts_;
  Signature signature_;
  std::size_t columns_ = 0;
  std::string config_;
  std::string explain_config_;
  std::optional<XgboostTrees> trees_;  // else the library answers
};

class XgboostEngine final : public Engine {
 public:
  bool accepts(const ModelFile& file) const override {
    const std::string_view name = file.name;
    return std::ranges::any_of(extensions(), [&](auto end) { return name.ends_with(end); });
  }
  std::vector<std::string_view> extensions() const override {
    return {".json", ".ubj", ".bst", ".xgb"};
  }

  Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                      const LoadOptions& options) const override {
    const auto bytes = file.contents.bytes();
    const auto text = file.contents.text();
    SLUICE_TRY(const auto parts, check_xgboost_file(text));
    BoosterHandle handle = nullptr;
    if (XGBoosterCreate(nullptr, 0, &handle) != 0) return internal("XGBoost cannot start");
    Booster booster(handle);
    // One thread a prediction: requests run beside each other already.
    XGBoosterSetParam(handle, "nthread", std::to_string(options.threads).c_str());
    if (XGBoosterLoadModelFromBuffer(handle, bytes.data(), bytes.size()) != 0) {
      log_last_error();
      return invalid("bad_model",
                     "XGBoost cannot load the model: it lacks a part, or is of a version "
                     "that is not known");
    }
    XGBoosterSetParam(handle, "nthread", std::to_string(options.threads).c_str());
    SLUICE_TRY(auto facts, read_facts(handle));
    facts.deepest = parts.deepest;
    auto model = std::make_unique<XgboostModel>(std::move(booster), std::move(facts));
    SLUICE_CHECK(model->describe());
    if (bytes.size() > kLargest) return model;
    if (file.name.ends_with(".json")) {
      model->use_trees(text);
    } else if (const auto written = xgboost_as_json(bytes)) {
      model->use_trees(*written);
    }
    return model;
  }
};

}  // namespace

std::shared_ptr<const Engine> make_xgboost() {
  // Its messages go through our log, not to stderr.
  XGBRegisterLogCallback([](const char*) {});
  return std::make_shared<XgboostEngine>();
}

}  // namespace sluice::engines
