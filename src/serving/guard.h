// What model.yaml lets in and out of a model: bounds and training statistics of its columns, the
// range of its answers. Made once, when a version is loaded.
//
// Input: each value of a column with `bounds` must lie within them; NaN is a missing value and no
// violation. With `guard.anomalies`, each value of a column with `training` must lie within
// `anomaly_z` standard deviations of its mean. Output (`guard.outputs`): each value, or each
// probability where the model classifies, must be finite and lie within `range`.
//
// Bounds are compared in the input's own type, so that 0.1 is within [0, 0.1] as a float too.
//
// Thread-safety: immutable.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "core/model_config.h"
#include "core/request.h"
#include "core/servable.h"
#include "core/signature.h"

namespace sluice::serving {

class Guard {
 public:
  // Null where nothing is to be watched. Errors: kInvalidArgument/`bad_config` where it asks for
  // what is not there: a fallback that nothing describes, anomalies without training statistics.
  static Result<std::unique_ptr<const Guard>> make(const Signature& signature,
                                                   const ModelConfig& config);

  // Of a request whose inputs fit: see Servable::Guarded.
  Servable::Guarded check_inputs(Request& request, Tally& tally) const;
  // Of a request that was answered; `prediction`: what the outputs mean.
  Servable::Guarded check_outputs(const Prediction& prediction, Request& request,
                                  Tally& tally) const;
  bool watches_outputs() const { return options_.outputs.has_value(); }

  const Fallback* fallback() const { return options_.fallback ? &*options_.fallback : nullptr; }
  // Values far from their training mean, as sentences; for debugging.
  std::vector<std::string> anomalies(const Request& request) const;

 private:
  // Lowest and highest value of each column; infinite where there is no limit.
  struct Limits {
    std::vector<double> low;
    std::vector<double> high;
    std::vector<float> low32;  // the same
    std::vector<float> high32;
    bool any = false;

    void add(double least, double most);
  };
  // A model with one table has its columns here, one with several inputs each of those.
  struct Column {
    std::string name;
    std::size_t input = 0;
    double mean = 0;
    double std = -1;  // below 0: nothing is known of its training
  };
  struct Place {
    std::size_t column;
    double value;
  };

  Guard() = default;
  bool within(const Limits& limits, const Request& request) const;
  // Calls visit(column, value) for each value, in order, until it answers false.
  template <class Visit>
  void each_value(const Request& request, Visit visit) const;
  std::vector<Place> outside(const Limits& limits, const Request& request) const;
  Error describe_bounds(const std::vector<Place>& places) const;
  Error describe_anomalies(const std::vector<Place>& places) const;
  std::string anomaly(const Place& place) const;
  Servable::Guarded act(GuardAction action, Error error, Request& request) const;

  GuardOptions options_;
  bool table_ = false;
  std::vector<Column> columns_;
  Limits bounds_;
  Limits usual_;
};

}  // namespace sluice::serving
