// Takes the large weights out of an ONNX file, so that ONNX Runtime reads the small rest and is
// handed the weights where they lie.
//
// Given the whole file it copies each weight twice, once into its protobuf message and once more
// into a tensor; weights that are handed over are copied once. What is left is a model that calls
// them external data, which they are then (docs/decisions/0032-weights-apart.md).
//
// Thread-safety: a function without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::engines {

struct OnnxWeight {
  std::string name;
  int type = 0;  // TensorProto.DataType
  std::vector<std::int64_t> dims;
  std::string_view data;  // in the file, at any address: a float need not lie where floats do
};

struct OnnxParts {
  std::string rest;                 // of the model
  std::vector<OnnxWeight> weights;  // none: leave the model as it is
};

// Takes out the initializers of the outermost graph of at least `least` bytes; those that hold
// anything out of the ordinary (a wrong size, a name that is there twice or that nobody uses, a
// type of less than a byte) stay where they are, for ONNX Runtime to judge. None are where they are
// not most of the file, or where it is no model. `bytes` outlives the answer.
OnnxParts take_out_weights(std::string_view bytes, std::size_t least);

}  // namespace sluice::engines
