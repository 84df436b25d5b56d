// model.yaml: everything that may be said of one model, every key optional.
//
// The whole contract is declared here and checked, so that a mistake is found at its line and
// column whichever part of Sluice acts on the key. `kNotActedOn` names the keys that this build
// reads and does not act on; the repository warns when one is used, so nothing is ignored in
// silence.
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

enum class BatchPolicy { kEager, kWait };
struct Batching {
  std::int64_t max_batch_size = 32;
  Millis max_wait{10};
  std::int64_t max_queue = 1000;
  BatchPolicy policy = BatchPolicy::kEager;
  static const Schema<Batching>& schema();
};

// `instances: auto` is 0.
struct Instances {
  std::int64_t count = 0;
};

struct CacheOptions {
  std::int64_t capacity = 10000;
  Millis ttl{300'000};
  static const Schema<CacheOptions>& schema();
};

struct CostOptions {
  double per_request = 0;
  double per_batch = 0;
  double storage_per_mb_month = 0;
  static const Schema<CostOptions>& schema();
};

// `[low, high]`, either side null for open.
struct Bounds {
  std::optional<double> low;
  std::optional<double> high;
};

struct InputColumn {
  std::string name;
  std::optional<Bounds> bounds;
  static const Schema<InputColumn>& schema();
};

enum class GuardAction { kOff, kWarn, kReject };
struct OutputGuard {
  std::optional<Bounds> range;
  GuardAction action = GuardAction::kReject;
  static const Schema<OutputGuard>& schema();
};
struct GuardOptions {
  GuardAction bounds = GuardAction::kReject;
  GuardAction anomalies = GuardAction::kOff;
  std::optional<OutputGuard> outputs;
  static const Schema<GuardOptions>& schema();
};

enum class Activation { kNone, kSoftmax, kSigmoid };
struct OutputOptions {
  std::string prediction;     // name of the output that is the class or value
  std::string probabilities;  // name of the output that has the class probabilities
  std::optional<Activation> activation;
  static const Schema<OutputOptions>& schema();
};

struct FeatureOptions {
  std::string store = "default";
  std::vector<std::string> names;
  Millis ttl{60'000};
  static const Schema<FeatureOptions>& schema();
};

enum class FeaturePrivacy { kFull, kHashed, kOff };
struct LogOptions {
  double sample = 1.0;
  FeaturePrivacy features = FeaturePrivacy::kFull;
  static const Schema<LogOptions>& schema();
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
  std::vector<InputColumn> inputs;
  std::optional<GuardOptions> guard;
  std::vector<std::string> labels;
  OutputOptions output;
  std::optional<FeatureOptions> features;
  std::optional<LogOptions> log;
  std::optional<Node> release;  // read by the release policies themselves
  bool allow_pickle = false;

  static const Schema<ModelConfig>& schema();

  static constexpr std::array<std::string_view, 8> kNotActedOn = {
      "allow_pickle", "loading", "cache", "cost", "guard", "features", "log", "release"};
  // Of `batching:`.
  static constexpr std::array<std::string_view, 3> kBatchingNotActedOn = {"max_wait", "max_queue",
                                                                          "policy"};
};

}  // namespace sluice
