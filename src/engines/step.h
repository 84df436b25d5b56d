// One step of a pipeline: a model, or something small before or after one (standardise, argmax …).
//
// A step is made from its options, told once what its inputs will look like (`bind`), and then run
// with every request. To add a kind, write `engines/steps/<kind>.cc` and add its line to
// `engines/steps/builtin.cc`.
//
// Thread-safety: `run` may be called by any number of threads at once unless `thread_safe()` is
// false; everything else happens on the thread that loads.
// Errors: `bind` and `run` say what is wrong with which input, without the step's name, which the
// graph puts in front. kInvalidArgument is the client's mistake, kInternal a model's or ours.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/document.h"
#include "base/error.h"
#include "core/engine.h"
#include "core/registry.h"
#include "core/signature.h"

namespace sluice::engines {

// What is known of a tensor before there is any request.
struct Edge {
  TensorSpec spec;
  std::vector<std::string> columns;    // names along the last dimension, or empty
  const Signature* classes = nullptr;  // of the member whose classes it is about
};

class Step {
 public:
  virtual ~Step() = default;

  // What it reads and makes, in the order of `run`.
  virtual std::vector<std::string> inputs() const = 0;
  virtual std::vector<std::string> outputs() const = 0;

  // What it would be given if nobody said: fills in what `inputs:` of the pipeline leaves out.
  virtual std::optional<Edge> expects(std::size_t input) const = 0;

  // Called once, before `run`. Answers its outputs, whose names do not matter.
  virtual Result<std::vector<Edge>> bind(std::span<const Edge> inputs) = 0;

  // Inputs have the types that were bound; their shapes have been compared with the bound
  // dimensions. Fills one element per output, whose memory lies in `arena` alone, so that inputs
  // may be gone before them.
  virtual Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                           Arena& arena) const = 0;

  // Each row of its outputs depends on that row of its inputs alone.
  virtual bool rows_apart() const { return true; }
  // Its outputs have the columns of its inputs.
  virtual bool keeps_columns() const { return false; }
  // The model of a step that is one.
  virtual const Model* model() const { return nullptr; }
  // What it is, for `sluice inspect`.
  virtual std::string describe() const = 0;
};

// What a step is made from. Mistakes in `options` are told in `problems`.
struct StepSource {
  const Node& options;
  Place place;
  std::size_t inputs = 0;  // how many the pipeline gives it; 0 where it does not say
  // The files beside the pipeline.
  const std::shared_ptr<const Fd>& directory;
};

struct StepKind {
  virtual ~StepKind() = default;
  // The option that is meant where there is a single value or a list in place of a mapping:
  // `threshold: 0.5` is `threshold: {at: 0.5}`. Empty: there is none.
  virtual std::string_view main_option() const { return {}; }
  // Null where `problems` have been told.
  virtual Result<std::unique_ptr<Step>> make(const StepSource& source,
                                             Problems& problems) const = 0;
};
using StepKinds = Registry<StepKind>;

// A file beside the pipeline. Errors: kInvalidArgument/`bad_model` where there is none,
// kUnavailable while it is being changed.
Result<Fd> find_step_file(const std::shared_ptr<const Fd>& directory, const std::string& name);

// All that it says; `bad_model`, too, where it is larger than `limit`.
Result<FileBytes> open_step_file(const std::shared_ptr<const Fd>& directory,
                                 const std::string& name, std::size_t limit);

// What such a file says, without the mark of UTF-8 that some editors put first.
std::string_view text_of(const FileBytes& bytes);

// The elements of an output, or 400 `too_large`: a step may make much out of a few bytes, so that
// the limit is lower than that of tensors which clients send.
Result<std::size_t> output_elements(const Shape& shape);

// A tensor in three parts around one of its dimensions: element (o, i, n) is at
// (o * length + i) * inner + n.
struct AxisSplit {
  std::size_t outer = 1;
  std::size_t length = 1;
  std::size_t inner = 1;
};
AxisSplit split_at(const Shape& shape, std::size_t axis);
// `axis` of a tensor with `rank` dimensions, where -1 is the last. Errors: it does not exist, or is
// the rows'.
Result<std::size_t> axis_of(std::int64_t axis, std::size_t rank);

// A configured number as a tensor of this type would have it: 0.1 is another number in FP32.
double in_type(DType dtype, double value);

// "row 3: " where there are several rows. Of one row nothing is said: it may be one of many that
// are run one by one.
std::string which_row(const Shape& shape, std::size_t row);

// Calls `f` with a function from an index to that element as a double, without a switch for each.
template <class F>
auto with_numbers(const TensorView& tensor, F&& f) {
  switch (tensor.dtype) {
    case DType::kFloat32:
      return f([v = tensor.as<float>()](std::size_t i) { return static_cast<double>(v[i]); });
    case DType::kFloat64: return f([v = tensor.as<double>()](std::size_t i) { return v[i]; });
    default: return f([&tensor](std::size_t i) { return number_at(tensor, i); });
  }
}

// Uninitialised memory of an output of `shape`, which is now `out`'s. T is dtype's own type.
template <class T>
std::span<T> make_output(DType dtype, const Shape& shape, std::size_t count, TensorView& out,
                         Arena& arena) {
  auto values = arena.array<T>(count);
  out = {dtype, shape, std::as_bytes(values), {}};
  return values;
}

}  // namespace sluice::engines
