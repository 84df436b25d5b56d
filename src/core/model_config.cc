#include "core/model_config.h"

#include <set>

#include "base/names.h"
#include "base/text.h"

namespace sluice {

SLUICE_OPTION_TYPE(VersionChoice)
SLUICE_OPTION_TYPE(Loading)
SLUICE_OPTION_TYPE(Instances)
SLUICE_OPTION_TYPE(Node)

template <>
struct OptionType<BatchPolicy> : WordOption<BatchPolicy, OptionType<BatchPolicy>> {
  static constexpr std::array<std::pair<std::string_view, BatchPolicy>, 2> kWords = {
      {{"eager", BatchPolicy::kEager}, {"wait", BatchPolicy::kWait}}};
};
template <>
struct OptionType<Activation> : WordOption<Activation, OptionType<Activation>> {
  static constexpr std::array<std::pair<std::string_view, Activation>, 3> kWords = {
      {{"none", Activation::kNone},
       {"softmax", Activation::kSoftmax},
       {"sigmoid", Activation::kSigmoid}}};
};

std::string OptionType<VersionChoice>::name() { return "all | {latest: N} | [v1, v2]"; }
std::string OptionType<VersionChoice>::show(const VersionChoice&) { return "all"; }
void OptionType<VersionChoice>::read(const Node& node, VersionChoice& value, Problems& problems) {
  if (node.kind == Node::Kind::kScalar && node.scalar == "all") return;
  if (node.kind == Node::Kind::kList) {
    auto& named = value.named.emplace();
    OptionType<std::vector<std::string>>::read(node, named, problems);
    for (std::size_t i = 0; i < named.size(); ++i) {
      if (!is_token(named[i])) {
        report(problems, node.items[i].place, "'" + printable(named[i]) + "' is no version name");
      }
    }
    return;
  }
  const Node* latest = node.find("latest");
  if (latest == nullptr || node.entries.size() != 1) {
    return report(problems, node.place, "versions must be " + name());
  }
  std::int64_t count = 0;
  OptionType<std::int64_t>::read(*latest, count, problems);
  if (count < 1) report(problems, latest->place, "latest must be at least 1");
  value.latest = count;
}

std::string OptionType<Loading>::name() { return "eager | lazy | {ttl: 60m}"; }
std::string OptionType<Loading>::show(const Loading&) { return "eager"; }
void OptionType<Loading>::read(const Node& node, Loading& value, Problems& problems) {
  if (node.kind == Node::Kind::kScalar && node.scalar == "eager") return;
  if (node.kind == Node::Kind::kScalar && node.scalar == "lazy") {
    value.kind = Loading::Kind::kLazy;
    return;
  }
  const Node* ttl = node.find("ttl");
  if (ttl == nullptr || node.entries.size() != 1) {
    return report(problems, node.place, "loading must be " + name());
  }
  value.kind = Loading::Kind::kTtl;
  OptionType<Millis>::read(*ttl, value.ttl, problems);
}

std::string OptionType<Instances>::name() { return "auto | integer"; }
std::string OptionType<Instances>::show(const Instances&) { return "auto"; }
void OptionType<Instances>::read(const Node& node, Instances& value, Problems& problems) {
  if (node.kind == Node::Kind::kScalar && node.scalar == "auto") return;
  OptionType<std::int64_t>::read(node, value.count, problems);
  if (value.count < 1 || value.count > 1024) {
    report(problems, node.place, "instances must be auto, or 1 to 1024");
  }
}

std::string OptionType<Node>::name() { return "mapping"; }
std::string OptionType<Node>::show(const Node&) { return "none"; }
void OptionType<Node>::read(const Node& node, Node& value, Problems& problems) {
  if (expect_kind(node, Node::Kind::kMap, "a mapping", problems)) value = node;
}

namespace {

std::optional<std::string> ascending(const std::vector<std::int64_t>& sizes) {
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 1 || (i > 0 && sizes[i] <= sizes[i - 1])) {
      return "write numbers of at least 1, each larger than the one before";
    }
  }
  return std::nullopt;
}

}  // namespace

const Schema<Padding>& Padding::schema() {
  static const auto kSchema =
      Schema<Padding>()
          .option("buckets", &Padding::buckets, "lengths that requests are lengthened to",
                  {ascending})
          .option("value", &Padding::value, "what inputs are lengthened with",
                  {between(-1e15, 1e15)})
          .option("zero", &Padding::zero, "inputs that are lengthened with 0 in any case: masks");
  return kSchema;
}

const Schema<Batching>& Batching::schema() {
  static const auto kSchema =
      Schema<Batching>()
          .option("max_batch_size", &Batching::max_batch_size, "most rows of one engine run",
                  {between<std::int64_t>(1, 65536)})
          .option("max_wait", &Batching::max_wait, "how long policy wait holds a batch open",
                  {between(Millis(0), Millis(1000))})
          .option("max_queue", &Batching::max_queue, "requests that may wait; more answer 503",
                  {between<std::int64_t>(1, 1'000'000)})
          .option("policy", &Batching::policy, "eager never makes an idle engine wait")
          .option("preferred", &Batching::preferred, "batch sizes that the model runs best with",
                  {ascending})
          .option("default_priority", &Batching::default_priority,
                  "of requests that name none: 1 (first) to 16 (last)",
                  {between<std::int64_t>(1, kPriorities)})
          .option("pad", &Batching::pad, "lengthens requests so that they can share a run",
                  {[](const std::optional<Padding>& pad) -> std::optional<std::string> {
                    if (!pad || !pad->buckets.empty()) return std::nullopt;
                    return "pad needs buckets, such as [16, 32, 64]";
                  }});
  return kSchema;
}

const Schema<CacheOptions>& CacheOptions::schema() {
  static const auto kSchema =
      Schema<CacheOptions>()
          .option("capacity", &CacheOptions::capacity, "most answers that are kept",
                  {between<std::int64_t>(1, 100'000'000)})
          .option("max_bytes", &CacheOptions::max_bytes, "most memory for answers",
                  {between(Bytes{1024}, Bytes{std::uint64_t{1} << 40})})
          .option("ttl", &CacheOptions::ttl, "how long an answer may be given again",
                  {between(Millis(1), Millis(31'536'000'000))})
          .option("content", &CacheOptions::content,
                  "equal inputs get the same answer, without a cache_key");
  return kSchema;
}

const Schema<CostOptions>& CostOptions::schema() {
  const auto positive = between(0.0, 1e9);
  static const auto kSchema =
      Schema<CostOptions>()
          .option("per_request", &CostOptions::per_request, "cost of one run alone", {positive})
          .option("per_batch", &CostOptions::per_batch, "cost of one batch", {positive})
          .option("storage_per_mb_month", &CostOptions::storage_per_mb_month,
                  "cost of keeping a megabyte for a month", {positive});
  return kSchema;
}

const Schema<CompressedFrom>& CompressedFrom::schema() {
  static const auto kSchema =
      Schema<CompressedFrom>()
          .option("from", &CompressedFrom::model, "the model and version that it was made of")
          .option("sha256", &CompressedFrom::sha256, "of that model's file")
          .option("method", &CompressedFrom::method, "what was done to it")
          .option("report", &CompressedFrom::report, "file that says how the two compare")
          .option("created", &CompressedFrom::created, "when, UTC");
  return kSchema;
}

const Schema<InputColumn>& InputColumn::schema() {
  static const auto kSchema =
      Schema<InputColumn>()
          .option("name", &InputColumn::name, "name of the column",
                  {[](const std::string& name) -> std::optional<std::string> {
                    if (!name.empty()) return std::nullopt;
                    return "a column needs a name";
                  }})
          .option("bounds", &InputColumn::bounds, "values that the guard lets through")
          .option("training", &InputColumn::training, "what the column was like in training");
  return kSchema;
}

const Schema<PythonOptions>& PythonOptions::schema() {
  static const auto kSchema =
      Schema<PythonOptions>()
          .option("memory", &PythonOptions::memory, "most memory of each process",
                  {between(Bytes{std::uint64_t{256} << 20}, Bytes{std::uint64_t{1} << 40})})
          .option("load_timeout", &PythonOptions::load_timeout,
                  "processor time that unpickling may take; ten times as long by the clock",
                  {between(Millis(1000), Millis(86'400'000))})
          .option("run_timeout", &PythonOptions::run_timeout,
                  "how long one run may take before its process is ended",
                  {between(Millis(10), Millis(86'400'000))});
  return kSchema;
}

const Schema<OutputOptions>& OutputOptions::schema() {
  static const auto kSchema =
      Schema<OutputOptions>()
          .option("prediction", &OutputOptions::prediction, "output that is the class or the value")
          .option("probabilities", &OutputOptions::probabilities,
                  "output that has the class probabilities")
          .option("activation", &OutputOptions::activation,
                  "what turns that output into probabilities")
          .option("training", &OutputOptions::training, "what predictions were like in training");
  return kSchema;
}

namespace {

std::optional<std::string> unique_columns(const std::vector<InputColumn>& columns) {
  std::set<std::string_view> seen;
  for (const auto& column : columns) {
    if (!seen.insert(column.name).second) return "column '" + column.name + "' is given twice";
  }
  return std::nullopt;
}

}  // namespace

const Schema<ModelConfig>& ModelConfig::schema() {
  static const auto kSchema =
      Schema<ModelConfig>()
          .option("engine", &ModelConfig::engine,
                  "onnx | xgboost | sklearn | ensemble; else from the file")
          .option("loading", &ModelConfig::loading, "when versions are loaded")
          .option("versions", &ModelConfig::versions, "which versions are loaded")
          .option("batching", &ModelConfig::batching, "how requests share an engine run")
          .option("instances", &ModelConfig::instances, "parallel executions")
          .option("threads", &ModelConfig::threads, "threads of one execution",
                  {between<std::int64_t>(1, 256)})
          .option("warmup", &ModelConfig::warmup, "runs before a version is ready",
                  {between<std::int64_t>(0, 10000)})
          .option("cache", &ModelConfig::cache, "answers that are kept and given again")
          .option("cost", &ModelConfig::cost, "what runs cost, for /api/cost")
          .option("compressed", &ModelConfig::compressed, "what sluice compress made it of")
          .option("inputs", &ModelConfig::inputs,
                  "columns of a single two-dimensional input, in order", {unique_columns})
          .option("guard", &ModelConfig::guard, "what unusual values get")
          .option("labels", &ModelConfig::labels, "names of the classes, in the model's order")
          .option("output", &ModelConfig::output, "what the outputs mean")
          .option("features", &ModelConfig::features, "features fetched by entity")
          .option("log", &ModelConfig::log, "the prediction log of this model")
          .option("drift", &ModelConfig::drift, "when inputs and predictions have drifted")
          .option("explain", &ModelConfig::explain, "what predictions are compared with")
          .option("ensemble", &ModelConfig::ensemble, "steps of a pipeline of models")
          .option("release", &ModelConfig::release, "traffic between the versions")
          .option("allow_pickle", &ModelConfig::allow_pickle,
                  "run .pkl and .joblib files of this model")
          .option("python", &ModelConfig::python, "limits of the processes that run them");
  return kSchema;
}

}  // namespace sluice
