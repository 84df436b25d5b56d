// How a model's tensors become a prediction, a confidence and a label.
//
// The plan is made once, when a version is loaded, from what the model file says, what model.yaml
// says, and the names of the outputs; interpreting a reply is then a pure function.
//
//   label and probabilities      class = the label's place in the list of classes, or the largest
//                                probability; confidence = the largest probability
//   one probability              class = p > 0.5; confidence = the larger of p and 1 - p
//   anything else                the value itself, a number or an array; confidence 1
//
// Thread-safety: immutable.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "core/model_config.h"
#include "core/prediction.h"
#include "core/signature.h"

namespace sluice::serving {

struct OutputPlan {
  std::size_t value = Signature::npos;          // the label or value output
  std::size_t probabilities = Signature::npos;  // the output with class probabilities
  bool value_is_label = false;
  bool value_is_place = false;  // that label says a place in `model_classes`, not what is there
  Activation activation = Activation::kNone;
  std::vector<std::string> model_classes;  // what labels of the other kind are called, in order
  std::vector<std::string> names;          // names of the classes, or empty
};

// Errors: kInvalidArgument/`bad_config` when model.yaml names outputs or labels that do not fit.
Result<OutputPlan> make_output_plan(const Signature& signature, const ModelConfig& config);

// `outputs` are in signature order; memory comes from `arena`.
Result<Prediction> interpret(const OutputPlan& plan, std::span<const TensorView> outputs,
                             std::size_t rows, Arena& arena);

}  // namespace sluice::serving
