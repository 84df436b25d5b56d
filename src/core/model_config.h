// model.yaml: everything that may be said of one model, every key optional.
//
// The whole contract is declared here and checked, so that a mistake is found at its line and
// column whichever part of Sluice acts on the key.
//
// Thread-safety: immutable once read.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/option.h"
#include "core/explain_config.h"
#include "core/feature_config.h"
#include "core/watch_config.h"

namespace sluice {

// `versions: all | {latest: 2} | [v1, v2]`
struct VersionChoice {
  std::optional<std::int64_t> latest;
  std::optional<std::vector<std::string>> named;
};

// `loading: eager | lazy | {ttl: 60m}`
struct Loading {
  enum class Kind { kEager, kLazy, kTtl } kind = Kind::kEager;
  Millis ttl{0};
};

// `batching.pad`: requests whose free dimensions have a length below a bucket's are lengthened to
// it, so that they can share a run; outputs are cut back.
struct Padding {
  std::vector<std::int64_t> buckets;  // ascending
  double value = 0;                   // what inputs are lengthened with
  std::vector<std::string> zero;      // inputs (masks) that are lengthened with 0 in any case
  static const Schema<Padding>& schema();
};

// A request's priority is 1 (first) to kPriorities (last).
inline constexpr std::int64_t kPriorities = 16;

enum class BatchPolicy { kEager, kWait };
struct Batching {
  std::int64_t max_batch_size = 32;
  Millis max_wait{10};
  std::int64_t max_queue = 1000;
  BatchPolicy policy = BatchPolicy::kEager;
  std::vector<std::int64_t> preferred;  // ascending
  std::int64_t default_priority = kPriorities / 2;
  std::optional<Padding> pad;
  static const Schema<Batching>& schema();
};

// `instances: auto` is 0.
struct Instances {
  std::int64_t count = 0;
};

struct CacheOptions {
  std::int64_t capacity = 10000;
  Bytes max_bytes{std::uint64_t{64} << 20};
  Millis ttl{300'000};
  bool content = false;  // equal inputs have equal answers, whatever their keys
  static const Schema<CacheOptions>& schema();
};

struct CostOptions {
  double per_request = 0;
  double per_batch = 0;
  double storage_per_mb_month = 0;
  static const Schema<CostOptions>& schema();
};

// What a compressed version was made of, and by what; `sluice compress` writes it.
struct CompressedFrom {
  std::string model;    // "fraud/v1"
  std::string sha256;   // of its file
  std::string method;   // "prune:sparsity=0.3+dynamic-int8"
  std::string report;   // the report's file, beside the model
  std::string created;  // UTC
  static const Schema<CompressedFrom>& schema();
};

struct InputColumn {
  std::string name;
  std::optional<Bounds> bounds;
  std::optional<Training> training;  // what it was like in training
  static const Schema<InputColumn>& schema();
};

enum class Activation { kNone, kSoftmax, kSigmoid };
struct OutputOptions {
  std::string prediction;     // name of the output that is the class or value
  std::string probabilities;  // name of the output that has the class probabilities
  std::optional<Activation> activation;
  std::optional<PredictionTraining> training;
  static const Schema<OutputOptions>& schema();
};

// Of the processes that run pickles.
struct PythonOptions {
  Bytes memory{std::uint64_t{4} << 30};
  Millis load_timeout{60'000};
  Millis run_timeout{60'000};
  static const Schema<PythonOptions>& schema();
};

struct ModelConfig {
  std::string engine;
  Loading loading;
  VersionChoice versions;
  std::optional<Batching> batching;
  Instances instances;
  std::int64_t threads = 1;
  std::int64_t warmup = 8;
  std::optional<CacheOptions> cache;
  std::optional<CostOptions> cost;
  std::optional<CompressedFrom> compressed;
  std::vector<InputColumn> inputs;
  std::optional<GuardOptions> guard;
  std::vector<std::string> labels;
  OutputOptions output;
  std::optional<FeatureOptions> features;
  LogOptions log;
  DriftOptions drift;
  std::optional<ExplainOptions> explain;
  std::optional<Node> ensemble;  // a pipeline's steps; read by its engine
  std::optional<Node> release;   // read by the release policies themselves
  bool allow_pickle = false;
  PythonOptions python;

  static const Schema<ModelConfig>& schema();
};

}  // namespace sluice
