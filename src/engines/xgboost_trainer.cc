#include "engines/xgboost_trainer.h"

#include <fmt/format.h>
#include <xgboost/c_api.h>

#include <memory>

#include "base/log.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

// A class that a teacher gives less than this is not worth a row.
constexpr float kLeastWeight = 0.01F;

struct FreeBooster {
  void operator()(void* booster) const { XGBoosterFree(booster); }
};
struct FreeMatrix {
  void operator()(void* matrix) const { XGDMatrixFree(matrix); }
};
using Booster = std::unique_ptr<void, FreeBooster>;
using Matrix = std::unique_ptr<void, FreeMatrix>;

Failure failed(std::string_view what) {
  const std::string_view text = XGBGetLastError();
  log::debug("XGBoost: " + printable(text.substr(0, text.find('\n')), 300));
  return fail(Code::kInternal, "engine_failed", "XGBoost cannot " + std::string(what));
}

// What XGBoost is given: rows, a label and a weight for each.
struct Labelled {
  std::vector<float> rows;
  std::vector<float> labels;
  std::vector<float> weights;
};

Labelled labelled_by_class(const TreeLesson& lesson) {
  Labelled out;
  for (std::size_t row = 0; row * lesson.columns < lesson.rows.size(); ++row) {
    const auto values = lesson.rows.subspan(row * lesson.columns, lesson.columns);
    const auto targets = lesson.targets.subspan(row * lesson.width, lesson.width);
    for (std::size_t i = 0; i < lesson.width; ++i) {
      if (targets[i] < kLeastWeight) continue;
      out.rows.insert(out.rows.end(), values.begin(), values.end());
      out.labels.push_back(static_cast<float>(i));
      out.weights.push_back(targets[i]);
    }
  }
  return out;
}

Result<Matrix> matrix_of(std::span<const float> rows, std::span<const float> labels,
                         std::span<const float> weights, const TreeLesson& lesson) {
  // NumPy's array interface, which the C API reads.
  const auto text =
      fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                  reinterpret_cast<std::uintptr_t>(rows.data()), labels.size(), lesson.columns);
  DMatrixHandle handle = nullptr;
  if (XGDMatrixCreateFromDense(text.c_str(), R"({"missing":NaN,"nthread":1})", &handle) != 0) {
    return failed("take the rows");
  }
  Matrix out(handle);
  bool good = XGDMatrixSetFloatInfo(handle, "label", labels.data(), labels.size()) == 0;
  if (!weights.empty()) {
    good = good && XGDMatrixSetFloatInfo(handle, "weight", weights.data(), weights.size()) == 0;
  }
  if (!good) return failed("take the targets");
  return out;
}

Result<Matrix> matrix_of(const TreeLesson& lesson) {
  if (lesson.kind != TreeLesson::Kind::kClasses) {
    return matrix_of(lesson.rows, lesson.targets, {}, lesson);
  }
  const auto labelled = labelled_by_class(lesson);
  return matrix_of(labelled.rows, labelled.labels, labelled.weights, lesson);
}

const char* objective_of(TreeLesson::Kind kind) {
  switch (kind) {
    case TreeLesson::Kind::kBinary: return "binary:logistic";
    case TreeLesson::Kind::kClasses: return "multi:softprob";
    case TreeLesson::Kind::kValue: break;
  }
  return "reg:squarederror";
}

double mean(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

Result<Booster> booster_for(DMatrixHandle matrix, const TreeLesson& lesson,
                            const TreeOptions& options) {
  BoosterHandle handle = nullptr;
  if (XGBoosterCreate(&matrix, 1, &handle) != 0) return failed("start");
  Booster out(handle);
  std::vector<std::pair<const char*, std::string>> settings = {
      {"objective", objective_of(lesson.kind)},
      {"max_depth", std::to_string(options.depth)},
      {"eta", fmt::format("{}", options.eta)},
      {"tree_method", "hist"},
      {"nthread", "1"},
      {"seed", "0"},
  };
  if (lesson.kind == TreeLesson::Kind::kClasses) {
    settings.emplace_back("num_class", std::to_string(lesson.width));
  }
  // Where boosting begins; its own 0.5 is far from most quantities.
  if (lesson.kind == TreeLesson::Kind::kValue) {
    settings.emplace_back("base_score", fmt::format("{}", mean(lesson.targets)));
  }
  for (const auto& [key, value] : settings) {
    if (XGBoosterSetParam(handle, key, value.c_str()) != 0) return failed("be set up");
  }
  if (lesson.names.size() == lesson.columns) {
    std::vector<const char*> names;
    for (const auto& name : lesson.names) names.push_back(name.c_str());
    if (XGBoosterSetStrFeatureInfo(handle, "feature_name", names.data(), names.size()) != 0) {
      return failed("take the columns' names");
    }
  }
  return out;
}

}  // namespace

Result<std::string> train_xgboost(const TreeLesson& lesson, const TreeOptions& options, bool ubj,
                                  const std::atomic<bool>& stop,
                                  const std::function<void(double done)>& progress) {
  if (lesson.columns == 0 || lesson.targets.empty() ||
      lesson.rows.size() / lesson.columns != lesson.targets.size() / lesson.width) {
    return internal("trees need rows, each with its target");
  }
  SLUICE_TRY(const auto matrix, matrix_of(lesson));
  SLUICE_TRY(const auto booster, booster_for(matrix.get(), lesson, options));
  for (int round = 0; round < options.rounds; ++round) {
    if (stop) return fail(Code::kCancelled, "cancelled", "stopped while trees were grown");
    progress(static_cast<double>(round) / options.rounds);
    if (XGBoosterUpdateOneIter(booster.get(), round, matrix.get()) != 0) return failed("train");
  }
  bst_ulong length = 0;
  const char* text = nullptr;
  const char* const format = ubj ? R"({"format":"ubj"})" : R"({"format":"json"})";
  if (XGBoosterSaveModelToBuffer(booster.get(), format, &length, &text) != 0) {
    return failed("write the trees");
  }
  return std::string(text, length);
}

}  // namespace sluice::engines
