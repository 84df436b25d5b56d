// A student: a smaller model that is taught by the answers of the original, on given rows and on
// rows that are mixed from them (Bucila, Caruana and Niculescu-Mizil, "Model Compression", KDD
// 2006; Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015).

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/name_list.h"
#include "base/random.h"
#include "base/text.h"
#include "engines/xgboost_trainer.h"
#include "tools/compress/builtin.h"
#include "tools/compress/mixed_rows.h"
#include "tools/compress/mlp_onnx.h"
#include "tools/compress/model_file.h"
#include "tools/compress/synthesise.h"

namespace sluice::tools::compress {
namespace {

// Of all rows together; beyond this, fewer are mixed.
constexpr std::size_t kMostNumbers = std::size_t{1} << 26;
constexpr std::size_t kFewestRows = 20;  // given ones
constexpr double kPoor = 0.9;            // of held-out rows
constexpr double kNear = 0.01;           // of a standard deviation, as comparison.h has it

struct Settings {
  std::string student = "auto";
  std::int64_t rows = 20'000;
  std::int64_t hidden = 64;
  std::int64_t layers = 1;
  std::int64_t epochs = 60;
  double temperature = 1;
  std::int64_t trees = 30;
  std::int64_t depth = 3;
  double eta = 0.3;
  std::int64_t seed = 1;

  static const Schema<Settings>& schema() {
    static const auto kSchema =
        Schema<Settings>()
            .option<std::string>(
                "student", &Settings::student,
                "mlp (a small network, written as ONNX), trees (XGBoost's, written as JSON) or "
                "auto: mlp for ONNX models, trees for others",
                [](const std::string& student) -> std::optional<std::string> {
                  if (student == "auto" || student == "mlp" || student == "trees") {
                    return std::nullopt;
                  }
                  return "expected mlp, trees or auto";
                })
            .option<std::int64_t>("rows", &Settings::rows,
                                  "rows it is taught with: the given ones, and mixtures of them",
                                  between<std::int64_t>(100, 1'000'000))
            .option<std::int64_t>("hidden", &Settings::hidden, "mlp: units of a hidden layer",
                                  between<std::int64_t>(1, 4096))
            .option<std::int64_t>("layers", &Settings::layers, "mlp: hidden layers",
                                  between<std::int64_t>(1, 4))
            .option<std::int64_t>("epochs", &Settings::epochs,
                                  "mlp: times through all rows at most",
                                  between<std::int64_t>(1, 1000))
            .option<double>("temperature", &Settings::temperature,
                            "mlp: what logits are divided by before they are taught",
                            between(0.5, 20.0))
            .option<std::int64_t>("trees", &Settings::trees, "trees: rounds of boosting",
                                  between<std::int64_t>(1, 5000))
            .option<std::int64_t>("depth", &Settings::depth, "trees: splits above each other",
                                  between<std::int64_t>(1, 16))
            .option<double>("eta", &Settings::eta, "trees: the share of a round that is added",
                            between(0.001, 1.0))
            .option<std::int64_t>("seed", &Settings::seed, "of everything that is random",
                                  between<std::int64_t>(0, 1'000'000'000));
    return kSchema;
  }
};

// What the student learns from, and rows that it never sees.
struct Material {
  Lessons taught;
  Lessons held_out;
  std::size_t given = 0;
  bool made_up = false;
};

// ---- one run of the method ---------------------------------------------------------------------

class Distilling {
 public:
  Distilling(const Task& task, const Settings& settings, Teacher teacher)
      : task_(task), settings_(settings), teacher_(std::move(teacher)) {}

  Result<Made> run() {
    SLUICE_CHECK(gather());
    const bool trees = settings_.student == "trees" ||
                       (settings_.student == "auto" && task_.from.extension() != ".onnx");
    out_.details["student"] = trees ? "trees" : "mlp";
    SLUICE_CHECK(trees ? grow_trees() : train_network());
    SLUICE_CHECK(judge());
    describe();
    return std::move(out_);
  }

 private:
  // ---- rows

  Result<void> gather() {
    SLUICE_TRY(auto rows, given_rows());
    material_.given = rows.count();
    if (rows.count() < kFewestRows) {
      return invalid("no_calibration", "a student needs " + std::to_string(kFewestRows) +
                                           " rows or more to learn from, and there are " +
                                           std::to_string(rows.count()) +
                                           "; give more with --calibration");
    }
    auto [held_out, taught] = split(rows);
    const auto most = std::min<std::size_t>(static_cast<std::size_t>(settings_.rows),
                                            kMostNumbers / teacher_.columns());
    // They are shuffled, so the first are as good as any.
    if (taught.count() > most) taught.values.resize(most * taught.columns);
    if (taught.count() < most) {
      const auto more = mixed_rows(taught, most - taught.count(), seed() + 1);
      taught.values.insert(taught.values.end(), more.values.begin(), more.values.end());
    }
    SLUICE_TRY(material_.taught, teacher_.ask(std::move(taught), task_.stop, [&](double done) {
      task_.progress("asking the original", done);
    }));
    SLUICE_TRY(material_.held_out, teacher_.ask(std::move(held_out), task_.stop, [](double) {}));
    if (material_.taught.rows.count() >= kFewestRows) return {};
    return invalid(
        "not_compressible",
        "the original answers NaN or infinity to almost all rows, which teaches nothing");
  }

  Result<TeachingRows> given_rows() {
    if (task_.calibration != nullptr) return teacher_.rows_of(*task_.calibration);
    material_.made_up = true;
    const auto count = std::min<std::size_t>({static_cast<std::size_t>(settings_.rows),
                                              kMostNumbers / teacher_.columns(),
                                              kMostMadeUp / teacher_.columns()});
    SLUICE_TRY(const auto made, synthesise(teacher_.signature(), {}, count, seed()));
    return teacher_.rows_of(made);
  }

  // A tenth is held out, whichever, and the rest shuffled.
  std::pair<TeachingRows, TeachingRows> split(const TeachingRows& rows) const {
    std::vector<std::size_t> order(rows.count());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    Random random(seed());
    for (std::size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[random.below(i)]);
    }
    TeachingRows held_out{rows.columns, {}};
    TeachingRows taught{rows.columns, {}};
    for (std::size_t i = 0; i < order.size(); ++i) {
      (i < order.size() / 10 ? held_out : taught).add(rows.row(order[i]));
    }
    return {std::move(held_out), std::move(taught)};
  }

  // ---- students

  Result<void> train_network() {
    MlpOptions options;
    options.hidden.assign(static_cast<std::size_t>(settings_.layers),
                          static_cast<std::size_t>(settings_.hidden));
    options.epochs = static_cast<int>(settings_.epochs);
    options.temperature = settings_.temperature;
    options.seed = seed();
    const auto& lessons = material_.taught;
    const auto& subject = teacher_.subject();
    SLUICE_TRY(const auto trained,
               train_mlp(lessons.rows.values, lessons.rows.columns, lessons.targets, subject.width,
                         subject.lesson, options, task_.stop,
                         [&](double done) { task_.progress("training the student", done); }));
    std::optional<OnnxGraph> original;
    if (task_.from.extension() == ".onnx") {
      SLUICE_TRY(original, OnnxGraph::open(task_.from));
    }
    SLUICE_TRY(const auto written, write_mlp(trained, teacher_, original ? &*original : nullptr));
    out_.file = task_.to / "model.onnx";
    SLUICE_CHECK(written.graph.save(out_.file));
    out_.details["parameters"] = trained.mlp.parameters();
    out_.details["epochs"] = trained.epochs;
    out_.details["watched_loss"] = trained.loss;
    if (!written.left_out.empty()) {
      out_.notes.push_back("the student does not have the outputs " +
                           name_list(written.left_out, 3) + ", which were not taught");
    }
    return {};
  }

  Result<void> grow_trees() {
    if (teacher_.row_dims().size() != 1) {
      return invalid("not_compressible", "trees take rows of columns, and this model's rows have " +
                                             std::to_string(teacher_.row_dims().size()) +
                                             " dimensions; use student=mlp");
    }
    SLUICE_TRY(const auto lesson, tree_lesson());
    const engines::TreeOptions options{static_cast<int>(settings_.trees),
                                       static_cast<int>(settings_.depth), settings_.eta};
    const bool ubj = task_.from.extension() == ".ubj";
    SLUICE_TRY(const auto bytes,
               engines::train_xgboost(lesson, options, ubj, task_.stop,
                                      [&](double done) { task_.progress("growing trees", done); }));
    out_.file = task_.to / (ubj ? "model.ubj" : "model.json");
    return write_model_file(out_.file, bytes);
  }

  // Of two classes one probability is enough, and half the trees.
  Result<engines::TreeLesson> tree_lesson() {
    using Kind = engines::TreeLesson::Kind;
    const auto& subject = teacher_.subject();
    engines::TreeLesson out;
    out.rows = material_.taught.rows.values;
    out.columns = material_.taught.rows.columns;
    out.targets = material_.taught.targets;
    out.names = teacher_.signature().columns;
    if (subject.lesson == Lesson::kClasses && subject.width == 2) {
      for (std::size_t i = 1; i < out.targets.size(); i += 2) second_.push_back(out.targets[i]);
      out.targets = second_;
    } else if (subject.lesson == Lesson::kClasses) {
      out.kind = Kind::kClasses;
      out.width = subject.width;
      return out;
    } else if (subject.lesson == Lesson::kValues && subject.width != 1) {
      return invalid("not_compressible", "trees answer one number, and this model answers " +
                                             std::to_string(subject.width) + "; use student=mlp");
    }
    out.kind = subject.lesson == Lesson::kValues ? Kind::kValue : Kind::kBinary;
    return out;
  }

  // ---- what became of it

  // On the rows that nobody learned from, by the file as it was written.
  Result<void> judge() {
    auto& details = out_.details;
    const auto& before = material_.held_out;
    details["held_out_rows"] = before.rows.count();
    const Task student{out_.file, task_.to,   task_.settings, task_.calibration,
                       task_.lab, task_.stop, task_.progress};
    SLUICE_TRY(auto loaded, Teacher::load(student));
    note_names(loaded.signature());
    if (before.rows.count() == 0) return {};
    SLUICE_TRY(const auto after, loaded.ask(before.rows, task_.stop, [](double) {}));
    if (after.rows.count() != before.rows.count()) {
      out_.notes.emplace_back("the student answers NaN to rows that the original answers");
      return {};
    }
    if (teacher_.subject().lesson == Lesson::kValues) {
      judge_values(before.targets, after.targets);
    } else {
      judge_classes(before.targets, after.targets);
    }
    return {};
  }

  void judge_classes(std::span<const float> before, std::span<const float> after) {
    const std::size_t rows = material_.held_out.rows.count();
    const std::size_t a = before.size() / rows;
    const std::size_t b = after.size() / rows;
    std::size_t same = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      const bool agrees =
          class_of(before.subspan(row * a, a)) == class_of(after.subspan(row * b, b));
      same += agrees ? 1 : 0;
    }
    const double agreement = static_cast<double>(same) / static_cast<double>(rows);
    out_.details["agreement"] = agreement;
    if (agreement >= kPoor) return;
    out_.notes.push_back("the student agrees with the original in only " + std::to_string(same) +
                         " of " + std::to_string(rows) + " held-out rows; " + advice());
  }

  // The share of the original's variance that the student explains.
  void judge_values(std::span<const float> before, std::span<const float> after) {
    double mean = 0;
    for (const float x : before) mean += x / static_cast<double>(before.size());
    double rest = 0;
    double all = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      rest += std::pow(static_cast<double>(after[i]) - before[i], 2);
      all += std::pow(before[i] - mean, 2);
    }
    const double near = kNear * std::sqrt(all / static_cast<double>(before.size()));
    std::size_t same = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      same += std::abs(after[i] - before[i]) <= near ? 1 : 0;
    }
    const double explained = all > 0 ? 1 - rest / all : (rest == 0 ? 1 : 0);
    out_.details["agreement"] = static_cast<double>(same) / static_cast<double>(before.size());
    out_.details["r2"] = explained;
    if (explained >= kPoor) return;
    out_.notes.push_back(
        "the student explains only " + std::to_string(std::lround(100 * std::max(explained, 0.0))) +
        " % of the variance of the original's answers to held-out rows; " + advice());
  }

  std::string advice() const {
    if (material_.made_up) return "give real rows with --calibration";
    return "give more rows with --calibration, or a larger student (hidden, layers; trees, depth)";
  }

  void note_names(const Signature& student) {
    if (teacher_.signature().classes_are_names && student.classes.empty()) {
      out_.notes.emplace_back(
          "the student does not know the classes' names: `labels:` of "
          "model.yaml gives them");
    }
    const auto& taught = teacher_.signature().outputs[teacher_.subject().output];
    if (student.output_named(taught.name) != Signature::npos) return;
    out_.notes.push_back("the student's output is '" + printable(student.outputs[0].name) +
                         "' where the original's is '" + printable(taught.name) +
                         "': where `output:` of model.yaml names it, change it there");
  }

  void describe() {
    auto& details = out_.details;
    details["given_rows"] = material_.given;
    details["taught_rows"] = material_.taught.rows.count();
    std::error_code error;
    const auto before = std::filesystem::file_size(task_.from, error);
    if (!error && std::filesystem::file_size(out_.file, error) >= before && !error) {
      out_.notes.emplace_back(
          "the student's file is no smaller than the original's; a smaller "
          "student has fewer trees and less depth, or fewer hidden units");
    }
    const auto unanswered = material_.taught.unanswered + material_.held_out.unanswered;
    if (unanswered > 0) {
      out_.notes.push_back(std::to_string(unanswered) +
                           " rows were left out: the original answers NaN or infinity");
    }
    if (material_.made_up) {
      out_.notes.emplace_back(
          "no rows were given: the student learned from made-up numbers, which "
          "may be unlike those that it will be asked about");
    }
  }

  std::uint64_t seed() const { return static_cast<std::uint64_t>(settings_.seed); }

  const Task& task_;
  const Settings& settings_;
  Teacher teacher_;
  Material material_;
  std::vector<float> second_;  // probabilities of the second class
  Made out_;
};

class Distill final : public Method {
 public:
  std::string_view name() const override { return "distill"; }
  std::string_view help() const override {
    return "a small network or trees that learn to answer as the model does";
  }
  std::vector<std::string_view> takes() const override {
    return {".onnx", ".json", ".ubj", ".pkl", ".joblib"};
  }
  std::vector<OptionInfo> settings() const override { return Settings::schema().describe(); }
  Result<void> check(const Node& settings) const override {
    return check_settings<Settings>(settings);
  }

  std::vector<std::string> variants() const override { return {"student=mlp", "student=trees"}; }

  Result<Made> make(const Task& task) const override {
    SLUICE_TRY(const auto settings, read_settings<Settings>(task.settings));
    SLUICE_TRY(auto teacher, Teacher::load(task));
    return Distilling(task, settings, std::move(teacher)).run();
  }
};

}  // namespace

std::unique_ptr<const Method> make_distill() { return std::make_unique<Distill>(); }

}  // namespace sluice::tools::compress
