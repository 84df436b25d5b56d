// An ONNX model that is changed: its protobuf (onnx.proto, IR version 3 and later) with what every
// method asks of it.
//
// Weights in other files stay there until they are looked at, so models beyond protobuf's 2 GiB can
// be read; on saving, what is not in the message goes into one file beside the model. What the
// schema of this build does not know yet is kept as it is.
//
// Thread-safety: one owner.
#pragma once

#include <onnx/onnx.pb.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::tools::compress {

class OnnxGraph {
 public:
  // Errors: kInvalidArgument/`bad_model`; kUnavailable/`unreadable`.
  // `weights`: the folder that external data is relative to; empty: the file's own. Models of IR
  // version 3, which list their weights as inputs, become models of version 4.
  static Result<OnnxGraph> open(const std::filesystem::path& file,
                                const std::filesystem::path& weights = {});

  // Writes `file`, and `file`.data where weights are outside. Errors: kUnavailable/`unwritable`.
  Result<void> save(const std::filesystem::path& file) const;

  onnx::ModelProto& model() { return model_; }
  const onnx::ModelProto& model() const { return model_; }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  const onnx::GraphProto& graph() const { return model_.graph(); }

  // Of a domain; "" is ai.onnx. 0: it is not imported.
  std::int64_t opset(std::string_view domain = "") const;
  // Imports a domain, or a later version of it than is there.
  void need_opset(std::string_view domain, std::int64_t version);

  // ---- who makes and who takes a value. Only the top graph is looked at; what a subgraph takes
  // from outside counts as taken by the node that has it. Pointers hold until nodes are removed.

  // Null: no initializer of the top graph, or one that callers may replace (it is an input as
  // well).
  onnx::TensorProto* constant(std::string_view name);
  const onnx::TensorProto* constant(std::string_view name) const;
  onnx::NodeProto* maker(std::string_view value);
  // In the graph's order; a node that takes it twice is there once.
  std::vector<onnx::NodeProto*> takers(std::string_view value);
  bool is_output(std::string_view value) const;
  // Has this node a graph of its own (If, Loop, Scan)?
  static bool has_subgraph(const onnx::NodeProto& node);

  // ---- changing. After nodes were added, removed or renamed, `settle` brings them into an order
  // in which each comes behind what it takes.

  // `wanted`, or with a number behind it where that is taken.
  std::string fresh_name(std::string_view wanted);
  onnx::NodeProto& add_node(std::string_view op, std::string_view name,
                            std::vector<std::string> inputs, std::vector<std::string> outputs,
                            std::string_view domain = "");
  // Tensors of Constant nodes become initializers; those that are outputs stay.
  void take_constants();
  void remove_nodes(const std::function<bool(const onnx::NodeProto&)>& which);
  // All takers of `from`, in the top graph and below it, take `to`. Outputs keep their names.
  void rename_uses(std::string_view from, std::string_view to);
  // Sorts the nodes, removes initializers that nobody takes and what is said of values that are no
  // more, and indexes anew. Errors: kInternal where there is a cycle.
  Result<void> settle();

  // ---- numbers

  // As floats, from FP32, FP16, BF16 or FP64. Errors: kInvalidArgument/`bad_model` for another
  // type, or where there are fewer bytes than the shape says.
  Result<std::vector<float>> floats(const onnx::TensorProto& tensor) const;
  // Any type's bytes in little-endian order, row-major, wherever they are kept.
  Result<std::string> bytes(const onnx::TensorProto& tensor) const;
  // The bytes of all initializers, wherever they are.
  std::uint64_t weight_bytes() const;

 private:
  void index();

  onnx::ModelProto model_;
  std::filesystem::path directory_;  // what external data is relative to
  std::map<std::string, onnx::TensorProto*, std::less<>> constants_;
  std::map<std::string, onnx::NodeProto*, std::less<>> makers_;
  std::map<std::string, std::vector<onnx::NodeProto*>, std::less<>> takers_;
  std::set<std::string, std::less<>> names_;  // of values and nodes, everywhere
};

// Tensors in their raw form: `raw` as `OnnxGraph::bytes` gives it, `data_type` of TensorProto.
onnx::TensorProto tensor_of(std::string_view name, std::span<const std::int64_t> dims,
                            std::int32_t data_type, std::string raw);

template <class T>
inline constexpr std::int32_t kDataType = 0;
template <>
inline constexpr std::int32_t kDataType<float> = onnx::TensorProto::FLOAT;
template <>
inline constexpr std::int32_t kDataType<std::int8_t> = onnx::TensorProto::INT8;
template <>
inline constexpr std::int32_t kDataType<std::uint8_t> = onnx::TensorProto::UINT8;
template <>
inline constexpr std::int32_t kDataType<std::int32_t> = onnx::TensorProto::INT32;
template <>
inline constexpr std::int32_t kDataType<std::int64_t> = onnx::TensorProto::INT64;

// `dims` and values must agree in number.
template <class T>
onnx::TensorProto tensor_of(std::string_view name, std::span<const std::int64_t> dims,
                            std::span<const T> values) {
  static_assert(kDataType<T> != 0);
  return tensor_of(name, dims, kDataType<T>,
                   std::string(reinterpret_cast<const char*>(values.data()), values.size_bytes()));
}

bool is_external(const onnx::TensorProto& tensor);
// Of the standard's domain.
bool is_standard(const onnx::NodeProto& node);
std::vector<std::int64_t> dims_of(const onnx::TensorProto& tensor);
// The product of its dimensions, 0 where it is beyond 2^62.
std::uint64_t elements_of(const onnx::TensorProto& tensor);

// Attributes of a node by name; null or the default where it has none.
const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name);
std::int64_t attribute_int(const onnx::NodeProto& node, std::string_view name,
                           std::int64_t otherwise);
float attribute_float(const onnx::NodeProto& node, std::string_view name, float otherwise);
void set_attribute(onnx::NodeProto& node, std::string_view name, std::int64_t value);
void set_attribute(onnx::NodeProto& node, std::string_view name, float value);
void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::int64_t> values);

}  // namespace sluice::tools::compress
