// What a loaded model takes and gives.
//
// Engines fill it from the model file; model.yaml may add column names, labels and roles. Codecs
// read requests by it, the pipeline checks against it.
//
// Thread-safety: immutable once the model is loaded.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_ask.h"
#include "core/tensor.h"

namespace sluice {

// What an output means, where that is known.
enum class Role : std::uint8_t {
  kUnknown,
  kLabel,          // the predicted class itself: [N] or [N,1], integer or string
  kProbabilities,  // [N,C], or [N,1] / [N] for the positive class of two
  kLogits,         // [N,C] before a softmax, or [N,1] before a sigmoid
  kValue,          // a regression
};

struct TensorSpec {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> dims;  // -1: any size
  Role role = Role::kUnknown;      // outputs only
  // Of labels: they are places in the list of classes, from 0 on, and not what these are called. Of
  // classes 5, 7 and 3 a 1 is the second one.
  bool says_places = false;

  // True when a tensor of `shape` fits `dims`.
  bool fits(const Shape& shape) const;
  // Whether the first dimension counts rows: it is free, or 1 and asked row by row. A state of two
  // layers or a scalar belongs to a call as a whole.
  bool counts_rows() const { return !dims.empty() && (dims[0] == -1 || dims[0] == 1); }
  // Dimensions of what a row of a table says of it: those of one row, or of a whole call.
  std::span<const std::int64_t> table_dims() const {
    return counts_rows() ? row_dims() : std::span(dims);
  }
  // Dimensions of one row: all but the first.
  std::span<const std::int64_t> row_dims() const {
    return std::span(dims).subspan(dims.empty() ? 0 : 1);
  }
};

struct Signature {
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
  // The columns of the single two-dimensional input, in order; empty when nobody named them.
  std::vector<std::string> columns;
  // The model's own list of classes, in its own order; a prediction is a place in this list.
  std::vector<std::string> classes;
  // False when `classes` are only the numbers 0, 1, 2 …, which name nothing.
  bool classes_are_names = false;
  // What classes are called in answers: model.yaml's labels, else the model's own names, or empty.
  std::vector<std::string> class_names;

  // Null: nothing is fetched, requests send everything.
  std::shared_ptr<const FetchedFeatures> fetched;

  // Equal for signatures that read and answer requests alike; 0 until `seal`.
  std::uint64_t fingerprint = 0;
  // Once all of the above is known.
  void seal();

  // The first dimension of every input and output is free: rows can be added and split.
  bool batchable() const;
  // An input belongs to calls as a whole: a table's rows are calls then, one at a time.
  bool rows_are_calls() const;
  // Place of the input or column with this name, or npos.
  static constexpr std::size_t npos = static_cast<std::size_t>(-1);
  std::size_t input_named(std::string_view name) const;
  std::size_t column_named(std::string_view name) const;
  std::size_t output_named(std::string_view name) const;
};

// What an output means by its type and name: "label", "prob", "logit" in it, as exporters write
// them; kUnknown where they say nothing. Of what the graph itself says nothing is known here.
Role role_by_name(const TensorSpec& spec);

// The one check of inputs under all front ends: types, dimensions, sizes, equal rows. `inputs` are
// in signature order; with `may_split_rows` more rows than a first dimension of 1 are fine. Answers
// the number of rows: the first dimension where it is free (or split), else 1. Errors:
// kInvalidArgument with `wrong_type`, `wrong_shape`, `ragged` …
Result<std::size_t> check_inputs(const Signature& signature, std::span<const TensorView> inputs,
                                 bool may_split_rows);

}  // namespace sluice
