// Reads an ONNX file before ONNX Runtime sees it: what it says of itself, what its outputs mean,
// and which other files it wants. Field numbers are those of onnx/onnx.proto (IR version 3 and
// later).
//
// Every place where a tensor can hide is visited (initializers, sparse initializers, attributes,
// subgraphs, functions, training information), because each of them can name a file.
//
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "core/signature.h"

namespace sluice::engines {

struct OutputFacts {
  Role role = Role::kUnknown;
  bool says_places = false;  // as TensorSpec's
};

struct OnnxFacts {
  std::int64_t ir_version = 0;
  std::string producer;
  std::map<std::string, std::int64_t> opsets;  // domain ("" is ai.onnx) → version
  std::uint64_t nodes = 0;
  std::uint64_t parameters = 0;  // elements of all initializers
  std::set<std::string> external_files;
  std::map<std::string, OutputFacts> outputs;
  // The list of classes of the classifier or ZipMap, in the model's order, which is not the order
  // of the maps that ONNX Runtime's ZipMap makes (it sorts them).
  std::vector<std::string> classes;
  bool classes_are_integers = false;
};

// Errors: kInvalidArgument/`bad_model` when the bytes are not an ONNX model, or one that asks for
// code of its own (EPContext).
Result<OnnxFacts> scan_onnx(std::string_view bytes);

}  // namespace sluice::engines
