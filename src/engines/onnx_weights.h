// Finds the large weights of an ONNX model, so that ONNX Runtime is handed them where they lie.
//
// Given a file, or the files that it names, it copies each weight twice, once into its protobuf
// message and once more into a tensor; weights that are handed over are copied once
// (docs/decisions/0032-weights-apart.md).
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::engines {

struct OnnxWeight {
  std::string name;
  int type = 0;  // TensorProto.DataType
  std::vector<std::int64_t> dims;
  std::string_view data;  // in a file, at any address: a float need not lie where floats do
};

// Files that a model keeps weights in, by the names that it has for them.
using OnnxFiles = std::map<std::string, std::string_view>;

struct OnnxParts {
  std::string rest;                 // of the model
  std::vector<OnnxWeight> weights;  // none: leave the model as it is
};

// Takes out the weights (initializers of the outermost graph) of at least `least` bytes. Those that
// hold anything out of the ordinary (a wrong size, a name that is there twice or that nobody uses,
// a type of less than a byte) stay where they are, for ONNX Runtime to judge; all do where they are
// not most of the file, or where it is no model. What is left is a model that calls them external
// data, which they are then, in a file `location` that is `bytes`. `bytes` outlives the answer.
OnnxParts take_out_weights(std::string_view bytes, std::size_t least,
                           std::string_view location = "weights");

// Those that the model in `bytes` keeps in `files`; out of the ordinary is here a place outside of
// its file, too. The model stays as it is.
std::vector<OnnxWeight> find_weights(std::string_view bytes, const OnnxFiles& files,
                                     std::size_t least);

}  // namespace sluice::engines
