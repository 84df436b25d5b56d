#include "engines/sklearn.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/checked.h"
#include "base/log.h"
#include "base/text.h"
#include "engines/largest_label.h"
#include "engines/python_finder.h"
#include "engines/worker_pool.h"

namespace sluice::engines {
namespace {

using nlohmann::json;

constexpr int kMostWorkers = 64;
constexpr std::size_t kMostColumns = 100'000;
constexpr std::size_t kMostClasses = 1'000'000;
constexpr std::size_t kBytesPerSecond = 10'000'000;  // of a pickle, on a slow machine

// What a worker says of its model is written by whoever made the model: each value is of the kind
// and size that is expected, or there is none.
std::string text_in(const json& from, const char* key) {
  const auto found = from.find(key);
  return found != from.end() && found->is_string() ? printable(found->get<std::string>(), 200) : "";
}

std::int64_t number_in(const json& from, const char* key, std::int64_t most) {
  const auto found = from.find(key);
  if (found == from.end() || !found->is_number_integer()) return -1;
  const auto number = found->get<std::int64_t>();
  return number < 0 || number > most ? -1 : number;
}

std::vector<std::string> texts_in(const json& from, const char* key, std::size_t most) {
  std::vector<std::string> out;
  const auto found = from.find(key);
  if (found == from.end() || !found->is_array() || found->size() > most) return out;
  for (const auto& each : *found) {
    if (each.is_string()) out.push_back(each.get<std::string>());
  }
  return out;
}

// One table, or, where there are columns of both kinds, an input for each column.
void read_inputs(const json& said, Signature& out) {
  const auto width = number_in(said, "width", kMostColumns);
  const auto kinds = texts_in(said, "kinds", kMostColumns);
  out.columns = texts_in(said, "columns", kMostColumns);
  if (out.columns.size() != static_cast<std::size_t>(std::max<std::int64_t>(width, 0))) {
    out.columns.clear();
  }
  if (std::ranges::find(kinds, "number") == kinds.end()) {
    const auto numbers = text_in(said, "numbers") == "FP32" ? DType::kFloat32 : DType::kFloat64;
    const auto columns = kinds.empty() ? width : static_cast<std::int64_t>(kinds.size());
    const auto type = kinds.empty() ? numbers : DType::kString;
    out.inputs.push_back({"features", type, {-1, columns}, Role::kUnknown});
    return;
  }
  if (out.columns.size() != kinds.size()) out.columns.clear();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto name = out.columns.empty() ? "x" + std::to_string(i) : out.columns.at(i);
    const auto type = kinds[i] == "text" ? DType::kString : DType::kFloat64;
    out.inputs.push_back({name, type, {-1, 1}, Role::kUnknown});
  }
  out.columns.clear();
}

Result<TensorSpec> read_output(const json& said) {
  TensorSpec out;
  out.name = text_in(said, "name");
  const auto dtype = dtype_named(text_in(said, "dtype"));
  const auto columns = number_in(said, "columns", kMostClasses);
  const auto role = text_in(said, "role");
  out.role = role == "label" ? Role::kLabel : role == "value" ? Role::kValue : Role::kProbabilities;
  // Labels that are texts come as places in the list of classes.
  const bool fits = dtype == DType::kInt64 || dtype == DType::kFloat64 ||
                    (dtype == DType::kString && out.role == Role::kLabel);
  if (!fits || columns < 0) {
    return invalid("bad_model", "its process describes the model wrongly");
  }
  out.dtype = *dtype;
  out.dims = {-1};
  if (columns > 0) out.dims.push_back(columns);
  return out;
}

Result<Signature> read_signature(const json& said) {
  Signature out;
  read_inputs(said, out);
  out.classes = texts_in(said, "classes", kMostClasses);
  for (std::size_t i = 0; i < out.classes.size(); ++i) {
    out.classes_are_names = out.classes_are_names || out.classes[i] != std::to_string(i);
  }
  const auto outputs = said.find("outputs");
  if (outputs == said.end() || !outputs->is_array() || outputs->empty() || outputs->size() > 2) {
    return invalid("bad_model", "its process describes the model wrongly");
  }
  for (const auto& each : *outputs) {
    SLUICE_TRY(out.outputs.emplace_back(), read_output(each));
  }
  return out;
}

// Of each class, where the largest probability decides; empty where the model does in its own way.
// Those that are texts are places in the list of classes.
Result<std::vector<std::int64_t>> read_labels(const json& said, const Signature& signature) {
  std::vector<std::int64_t> out;
  const auto decided = said.find("decided");
  if (decided == said.end() || *decided != true) return out;
  const auto& outputs = signature.outputs;
  const auto wrong = [] { return invalid("bad_model", "its process describes the model wrongly"); };
  const auto& classes = signature.classes;
  const bool fits = outputs.size() == 2 && outputs[0].role == Role::kLabel &&
                    outputs[0].dims.size() == 1 && outputs[0].dtype != DType::kFloat64 &&
                    outputs[1].dtype == DType::kFloat64 && outputs[1].dims.size() == 2 &&
                    outputs[1].dims[1] == static_cast<std::int64_t>(classes.size());
  if (!fits) return wrong();
  for (std::size_t i = 0; i < classes.size(); ++i) {
    const bool is_text = outputs[0].dtype == DType::kString;
    const auto label = is_text ? static_cast<std::int64_t>(i) : parse_int(classes[i]);
    if (!label) return wrong();
    out.push_back(*label);
  }
  return out;
}

class SklearnModel final : public Model {
 public:
  SklearnModel(std::unique_ptr<WorkerPool> pool, Signature signature,
               std::vector<std::int64_t> labels, std::vector<Fact> facts)
      : pool_(std::move(pool)),
        signature_(std::move(signature)),
        labels_(std::move(labels)),
        facts_(std::move(facts)) {
    // In columns whenever there is a text among them: each text is a list of its own.
    by_columns_ = signature_.inputs[0].dtype == DType::kString;
  }

  const Signature& signature() const override { return signature_; }
  std::string_view platform() const override { return "sklearn"; }
  std::vector<Fact> facts() const override { return facts_; }
  std::uint64_t parameters() const override { return 0; }
  std::uint64_t bytes_elsewhere() const override { return pool_->memory(); }
  bool answers_from_afar() const override { return true; }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto rows = inputs[0].shape[0];
    if (rows == 0) return invalid("no_rows", "there are no rows to predict");
    auto bytes = arena.array<std::span<std::byte>>(outputs.size());
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const auto& spec = signature_.outputs[i];
      outputs[i].dtype = spec.dtype;
      outputs[i].shape = {rows};
      if (spec.dims.size() == 2) outputs[i].shape.push(spec.dims[1]);
      SLUICE_TRY(const auto count, element_count(outputs[i].shape.dims()));
      bytes[i] = arena.array<std::byte>(count * sizeof(std::int64_t));
      outputs[i].data = bytes[i];
    }
    const bool split = by_columns_ && inputs.size() == 1;
    const auto columns = split ? columns_of(inputs[0], arena) : inputs;
    SLUICE_CHECK(run_workers({columns, static_cast<std::size_t>(rows), bytes}, outputs));
    for (auto& output : outputs) {
      if (output.dtype == DType::kString) SLUICE_CHECK(name_labels(output, arena));
    }
    return {};
  }

 private:
  // Where the largest probability decides, labels are found here: for a few rows it takes Python
  // longer than handing them over. Of equals, which rounding can make, the model is asked.
  Result<void> run_workers(const WorkerJob& job, std::span<TensorView> outputs) const {
    if (labels_.empty()) return pool_->run(job);
    const auto labels = job.outputs[0];
    const std::array<std::span<std::byte>, 2> scores = {{{}, job.outputs[1]}};
    SLUICE_CHECK(pool_->run({job.inputs, job.rows, scores}));
    auto* first = reinterpret_cast<std::int64_t*>(labels.data());  // of an arena: aligned
    if (largest_labels(outputs[1].as<double>(), labels_, {first, job.rows})) return {};
    const std::array<std::span<std::byte>, 2> only_labels = {{labels, {}}};
    return pool_->run({job.inputs, job.rows, only_labels});
  }

  // A table of texts, as its columns.
  static std::span<const TensorView> columns_of(const TensorView& table, Arena& arena) {
    const auto rows = static_cast<std::size_t>(table.shape[0]);
    const auto width = table.strings.size() / rows;
    auto out = arena.array<TensorView>(width);
    for (std::size_t column = 0; column < width; ++column) {
      auto texts = arena.array<std::string_view>(rows);
      for (std::size_t row = 0; row < rows; ++row) texts[row] = table.strings[row * width + column];
      out[column] = TensorView{DType::kString, {table.shape[0], 1}, {}, texts};
    }
    return out;
  }

  Result<void> name_labels(TensorView& output, Arena& arena) const {
    const auto places = output.as<std::int64_t>();
    auto labels = arena.array<std::string_view>(places.size());
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto place = static_cast<std::uint64_t>(places[i]);
      if (place >= signature_.classes.size()) {
        return fail(Code::kInternal, "engine_failed", "the model answered a class that it lacks");
      }
      labels[i] = arena.copy(signature_.classes[place]);
    }
    output.strings = labels;
    output.data = {};
    return {};
  }

  const std::unique_ptr<WorkerPool> pool_;
  const Signature signature_;
  const std::vector<std::int64_t> labels_;
  const std::vector<Fact> facts_;
  bool by_columns_ = false;
};

// The warnings that a data scientist would have seen.
void warn_of(const std::string& name, const json& said) {
  const auto trained = text_in(said, "trained_with");
  const auto here = text_in(said, "sklearn");
  if (!trained.empty() && trained != here) {
    log::warn(name + " was written by scikit-learn " + trained + " and runs in " + here +
              ": its answers may differ; train it again with " + here +
              ", or name a Python that has " + trained + " with --python");
  }
  for (const auto& warning : texts_in(said, "warnings", 3)) {
    log::warn(name + ": Python warns while loading: " + printable(warning, 200));
  }
}

// What `sluice inspect` shows.
std::vector<Fact> facts_in(const json& said) {
  std::vector<Fact> out = {{"estimator", text_in(said, "estimator")},
                           {"scikit-learn", text_in(said, "sklearn")},
                           {"python", text_in(said, "python")}};
  const auto trained = text_in(said, "trained_with");
  if (!trained.empty() && trained != text_in(said, "sklearn")) {
    out.push_back({"trained_with", "scikit-learn " + trained});
  }
  return out;
}

class SklearnEngine final : public Engine {
 public:
  explicit SklearnEngine(std::string python) : wanted_(std::move(python)) {}

  bool accepts(const ModelFile& file) const override {
    const std::string_view name = file.name;
    return std::ranges::any_of(extensions(), [&](auto end) { return name.ends_with(end); });
  }
  std::vector<std::string_view> extensions() const override { return {".pkl", ".joblib"}; }
  bool runs_code() const override { return true; }
  bool isolated() const override { return true; }

  Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                      const LoadOptions& options) const override {
    if (file.contents.bytes().empty()) return invalid("bad_model", "the model file is empty");
    SLUICE_TRY(const auto python, find());
    PoolOptions pool_options;
    pool_options.name = options.name.empty() ? file.name : options.name;
    pool_options.workers = std::clamp(options.parallel, 1, kMostWorkers);
    pool_options.worker = {python.path, file.contents, options.threads, options.process.memory};
    pool_options.run_limit = options.process.run_limit;
    pool_options.load_limit = std::chrono::ceil<std::chrono::seconds>(options.process.load_limit) +
                              std::chrono::seconds(file.contents.bytes().size() / kBytesPerSecond);
    pool_options.abandoned = options.abandoned;
    const auto name = pool_options.name;
    SLUICE_TRY(auto pool, WorkerPool::start(std::move(pool_options)));
    const auto said = json::parse(pool->description(), nullptr, false);
    if (!said.is_object()) return invalid("bad_model", "its process describes the model wrongly");
    SLUICE_TRY(auto signature, read_signature(said));
    SLUICE_TRY(auto labels, read_labels(said, signature));
    warn_of(name, said);
    return std::make_unique<SklearnModel>(std::move(pool), std::move(signature), std::move(labels),
                                          facts_in(said));
  }

 private:
  // Looked for once; as long as there is none, each time.
  Result<Python> find() const {
    const std::lock_guard lock(mutex_);
    if (!python_) {
      SLUICE_TRY(python_, find_python(wanted_));
    }
    return *python_;
  }

  const std::string wanted_;
  mutable std::mutex mutex_;
  mutable std::optional<Python> python_;  // guarded by mutex_
};

}  // namespace

std::shared_ptr<const Engine> make_sklearn(std::string python) {
  return std::make_shared<SklearnEngine>(std::move(python));
}

}  // namespace sluice::engines
