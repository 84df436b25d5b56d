// What most steps have in common: one input `x`, one output `y`, options with a schema.
#pragma once

#include <utility>

#include "base/option.h"
#include "base/text.h"
#include "engines/step.h"

namespace sluice::engines {

class UnaryStep : public Step {
 public:
  std::vector<std::string> inputs() const override { return {"x"}; }
  std::vector<std::string> outputs() const override { return {"y"}; }
  std::optional<Edge> expects(std::size_t) const override { return std::nullopt; }
  Result<std::vector<Edge>> bind(std::span<const Edge> inputs) override {
    SLUICE_TRY(auto out, bind_one(inputs[0]));
    return std::vector<Edge>{std::move(out)};
  }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    return run_one(inputs[0], outputs[0], arena);
  }

 protected:
  virtual Result<Edge> bind_one(const Edge& x) = 0;
  virtual Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const = 0;
};

inline Failure not_numbers(const Edge& x) {
  return invalid("bad_model", "it takes numbers, but '" + x.spec.name + "' is " +
                                  std::string(name_of(x.spec.dtype)));
}

// Of a step that compares values beside each other where there is one: `what` it would answer.
inline Failure only_one(const Edge& x, const std::string& what) {
  return invalid("bad_model",
                 what + ", but '" + x.spec.name + "' is " + show_shape(x.spec.dims) +
                     "; the class of one probability is threshold: 0.5, that of one raw score "
                     "threshold: 0; for the probability of a raw score leave this step out and "
                     "write output: {probabilities: …, activation: sigmoid} in model.yaml");
}

// Nobody is told of a class that nothing speaks for. `shape` is that of the scores.
inline Failure no_class(const Shape& shape, std::size_t row) {
  return invalid("not_a_number", which_row(shape, row) +
                                     "the scores are not a number (NaN), of which there is no "
                                     "class; is a value missing?");
}

// A kind whose step S is made of `S::Options`, a struct with a schema, and `S::kMain`.
template <class S>
struct SimpleKind final : StepKind {
  std::string_view main_option() const override { return S::kMain; }
  Result<std::unique_ptr<Step>> make(const StepSource& source, Problems& problems) const override {
    typename S::Options options;
    const auto before = problems.size();
    S::Options::schema().read(source.options, options, problems);
    if (problems.size() > before) return nullptr;
    return S::make(std::move(options), source, problems);
  }
};

}  // namespace sluice::engines
