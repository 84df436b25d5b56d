#include "observers/drift.h"

#include <algorithm>

#include "base/half.h"

namespace sluice::observers {
namespace {

using statistics::LiveColumn;
using statistics::Reference;
using Nanos = std::chrono::nanoseconds;

constexpr std::chrono::seconds kForgetEvery{1};

Nanos steady_now() { return std::chrono::steady_clock::now().time_since_epoch(); }

// As an input of this type has it, so that what is equal there is equal here.
double rounded(double value, DType dtype) {
  const auto single = static_cast<float>(value);
  switch (dtype) {
    case DType::kFloat32: return single;
    case DType::kFloat16: return half_to_float(float_to_half(single));
    case DType::kBFloat16: return bf16_to_float(float_to_bf16(single));
    default: return value;
  }
}

// What a feature or prediction is compared with, and where its values are.
struct Declared {
  std::string name;
  std::size_t input = 0;
  std::vector<double> quantiles;  // or shares of classes
  double missing = 0;
  std::size_t classes = 0;  // 0: numbers

  bool operator==(const Declared&) const = default;

  Reference reference() const {
    return classes > 0 ? Reference::of_classes(quantiles, 0)
                       : Reference::of_quantiles(quantiles, missing, 0);
  }
};

struct Plan {
  bool table = false;  // features are columns of input 0
  std::vector<Declared> features;
  Declared prediction;
  bool classified = false;
  std::vector<std::string> classes;
  Nanos window{0};
  std::int64_t min_rows = 0;
  double psi = 0;
};

const Training* training_of(const ModelConfig& config, std::string_view name) {
  for (const auto& column : config.inputs) {
    if (column.name == name && column.training) return &*column.training;
  }
  return nullptr;
}

Declared declare(const ModelConfig& config, std::string name, std::size_t input, DType dtype) {
  Declared out;
  out.name = std::move(name);
  out.input = input;
  if (const Training* training = training_of(config, out.name)) {
    for (const double each : training->quantiles) out.quantiles.push_back(rounded(each, dtype));
    out.missing = training->missing;
  }
  return out;
}

// One value a row: [N], [N,1], [1].
bool scalar(const TensorSpec& spec) {
  if (spec.dtype == DType::kString || spec.dims.empty()) return false;
  if (spec.dims[0] != -1 && spec.dims[0] != 1) return false;
  return std::ranges::all_of(spec.row_dims(), [](std::int64_t dim) { return dim == 1; });
}

void plan_features(const Signature& signature, const ModelConfig& config, std::size_t width,
                   Plan& plan) {
  const auto& inputs = signature.inputs;
  plan.table =
      inputs.size() == 1 && inputs[0].dims.size() == 2 && inputs[0].dtype != DType::kString;
  if (plan.table) {
    for (std::size_t i = 0; i < std::min(width, DriftWatch::kMostFeatures); ++i) {
      auto name = i < signature.columns.size() ? signature.columns[i] : std::to_string(i);
      plan.features.push_back(declare(config, std::move(name), 0, inputs[0].dtype));
    }
    return;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (plan.features.size() == DriftWatch::kMostFeatures) return;
    if (scalar(inputs[i])) {
      plan.features.push_back(declare(config, inputs[i].name, i, inputs[i].dtype));
    }
  }
}

// The columns of a table, which its signature may leave open.
std::size_t width_of(const Signature& signature, const Record& record) {
  if (signature.inputs.size() != 1 || signature.inputs[0].dims.size() != 2) return 0;
  if (signature.inputs[0].dims[1] > 0) return static_cast<std::size_t>(signature.inputs[0].dims[1]);
  if (!signature.columns.empty()) return signature.columns.size();
  const bool known = record.inputs.size() == 1 && record.inputs[0].shape.rank() == 2;
  return known ? static_cast<std::size_t>(record.inputs[0].shape[1]) : 0;
}

Plan make_plan(const Servable& servable, const ModelConfig& config, const Record& record) {
  const Signature& signature = servable.signature();
  Plan out;
  plan_features(signature, config, width_of(signature, record), out);
  out.prediction.name = "prediction";
  out.classified = record.head.classified;
  const PredictionTraining training = config.output.training.value_or(PredictionTraining());
  if (record.head.classified) {
    out.classes = signature.class_names.empty() ? signature.classes : signature.class_names;
    out.prediction.classes = std::max(out.classes.size(), training.classes.size());
    const bool fits = out.classes.empty() || out.classes.size() == training.classes.size();
    if (fits) out.prediction.quantiles = training.classes;
  } else {
    out.prediction.quantiles = training.quantiles;
    if (record.head.single_precision) {
      for (double& each : out.prediction.quantiles) each = rounded(each, DType::kFloat32);
    }
  }
  out.window = config.drift.window;
  out.min_rows = config.drift.min_rows;
  out.psi = config.drift.psi;
  return out;
}

// One feature or the prediction of a version.
class Column {
 public:
  explicit Column(const Declared& declared, Nanos window)
      : classes_(declared.classes), window_(window) {
    begin(declared.reference(), DriftReference::kTraining);
  }

  void add(double value, Nanos now) {
    if (live_) return live_->add(value, now);
    baseline_.push_back(value);
    if (baseline_.size() < DriftWatch::kBaselineRows) return;
    begin(Reference::of_sample(baseline_, classes_), DriftReference::kBaseline);
    // All were missing: that is no reference, so the next rows are tried.
    baseline_.clear();
    if (live_) baseline_.shrink_to_fit();
  }
  std::size_t collected() const { return baseline_.size(); }
  std::uint64_t rows(Nanos now) const { return live_ ? live_->rows(now) : 0; }

  DriftOf report(const Declared& declared, const Plan& plan, Nanos now) const {
    DriftOf out;
    out.name = declared.name;
    out.reference = kind_;
    if (!live_) return out;
    out.drift = live_->drift(now);
    out.judged = out.drift.rows >= static_cast<std::uint64_t>(plan.min_rows);
    out.drifted =
        out.judged && out.drift.psi >= plan.psi && out.drift.psi >= out.drift.psi_by_chance;
    return out;
  }

 private:
  void begin(Reference reference, DriftReference kind) {
    if (!reference.known()) return;
    live_.emplace(std::move(reference), window_);
    kind_ = kind;
  }

  std::size_t classes_;
  Nanos window_;
  DriftReference kind_ = DriftReference::kNone;
  std::optional<LiveColumn> live_;
  std::vector<double> baseline_;
};

}  // namespace

std::string_view word_of(DriftReference reference) {
  switch (reference) {
    case DriftReference::kTraining: return "training";
    case DriftReference::kBaseline: return "baseline";
    default: return "none";
  }
}

bool DriftOfVersion::judged() const {
  return (prediction && prediction->judged) || std::ranges::any_of(features, &DriftOf::judged);
}

std::size_t DriftOfVersion::drifted() const {
  const auto count = std::ranges::count_if(features, &DriftOf::drifted);
  return static_cast<std::size_t>(count) + (prediction && prediction->drifted ? 1 : 0);
}

struct DriftWatch::Watched {
  std::weak_ptr<const ModelEntry> entry;  // that the plan was made from; only compared
  Plan plan;
  std::vector<Column> features;
  std::optional<Column> prediction;

  // What was seen goes on where columns, references and window are the same.
  void begin(Plan next) {
    const bool same_window = plan.window == next.window;
    const bool same_features =
        same_window && plan.table == next.table && plan.features == next.features;
    if (!same_window || plan.prediction != next.prediction) prediction.reset();
    plan = std::move(next);
    if (same_features) return;
    features.clear();
    for (const auto& each : plan.features) features.emplace_back(each, plan.window);
  }
  // A record that could not be interpreted did not say what the model's answers are.
  bool knows(const Record& record) const {
    return record.values.empty() || record.head.classified == plan.classified;
  }

  void add_table(const TensorView& table, Nanos now) {
    const std::size_t width =
        table.shape.rank() == 2 ? static_cast<std::size_t>(table.shape[1]) : 0;
    if (width == 0 || width < features.size()) return;
    const std::size_t rows = table.elements() / width;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t i = 0; i < features.size(); ++i) {
        features[i].add(number_at(table, row * width + i), now);
      }
    }
  }

  void add_inputs(const Record& record, Nanos now) {
    if (plan.table) {
      if (record.inputs.size() == 1) add_table(record.inputs[0], now);
      return;
    }
    for (std::size_t i = 0; i < features.size(); ++i) {
      const std::size_t place = plan.features[i].input;
      if (place >= record.inputs.size()) continue;
      const TensorView& input = record.inputs[place];
      if (input.dtype == DType::kString) continue;
      for (std::size_t j = 0; j < input.elements(); ++j) features[i].add(number_at(input, j), now);
    }
  }

  void add_prediction(const Record& record, Nanos now) {
    // Vectors and sequences are no single value.
    if (record.width() != 1) return;
    if (!prediction) prediction.emplace(plan.prediction, plan.window);
    for (const double value : record.values) prediction->add(value, now);
  }

  DriftOfVersion report(Nanos now) const {
    DriftOfVersion out;
    out.classes = plan.classes;
    const auto note = [&](const Column& column, const DriftOf& told) {
      out.rows = std::max(out.rows, column.rows(now));
      out.baseline_rows = std::max<std::uint64_t>(out.baseline_rows, column.collected());
      out.reference = std::max(out.reference, told.reference);
    };
    for (std::size_t i = 0; i < features.size(); ++i) {
      out.features.push_back(features[i].report(plan.features[i], plan, now));
      note(features[i], out.features.back());
    }
    if (prediction) {
      out.prediction = prediction->report(plan.prediction, plan, now);
      note(*prediction, *out.prediction);
    }
    return out;
  }
};

DriftWatch::DriftWatch(const ServingTables& tables, Clock clock)
    : tables_(tables), clock_(clock ? std::move(clock) : Clock(steady_now)) {}

DriftWatch::~DriftWatch() = default;

// Null: it cannot be said what its inputs are, for it is gone.
DriftWatch::Watched* DriftWatch::watched(const std::shared_ptr<const ModelEntry>& entry,
                                         const Record& record) {
  const VersionEntry* version = entry->find(record.version);
  if (version == nullptr) return nullptr;
  auto& versions = models_[std::string(record.model)];
  auto found = versions.find(record.version);
  if (found == versions.end()) {
    if (version->servable == nullptr) return nullptr;
    found = versions.emplace(std::string(record.version), std::make_unique<Watched>()).first;
  }
  Watched& out = *found->second;
  const bool same = !out.entry.owner_before(entry) && !entry.owner_before(out.entry);
  if ((same && out.knows(record)) || version->servable == nullptr) return &out;
  out.entry = entry;
  out.begin(make_plan(*version->servable, entry->config, record));
  return &out;
}

void DriftWatch::take(const Record& record) {
  const auto table = tables_.read();
  const auto entry = table->models.find(record.model);
  if (entry == table->models.end() || !entry->second->config.drift.enabled) return;
  const auto now = clock_();
  const std::lock_guard lock(mutex_);
  Watched* const to = watched(entry->second, record);
  if (to == nullptr) return;
  if (!record.head.inputs_left_out) to->add_inputs(record, now);
  to->add_prediction(record, now);
}

void DriftWatch::tick() {
  const auto now = clock_();
  if (now < next_) return;
  next_ = now + kForgetEvery;
  const auto table = tables_.get();
  const std::lock_guard lock(mutex_);
  for (auto& [model, versions] : models_) {
    const ModelEntry* entry = table->find(model);
    const bool watched = entry != nullptr && entry->config.drift.enabled;
    std::erase_if(versions, [&](const auto& version) {
      return !watched || entry->find(version.first) == nullptr;
    });
  }
  std::erase_if(models_, [](const auto& model) { return model.second.empty(); });
}

std::vector<DriftOfVersion> DriftWatch::report(const ModelEntry& entry) const {
  std::vector<DriftOfVersion> out;
  const auto now = clock_();
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(entry.name.str());
  if (found == models_.end()) return out;
  for (const auto& version : entry.versions) {
    const auto seen = found->second.find(version.name.str());
    if (seen == found->second.end()) continue;
    out.push_back(seen->second->report(now));
    out.back().version = version.name.str();
  }
  return out;
}

}  // namespace sluice::observers
