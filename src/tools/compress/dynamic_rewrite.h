// Rewrites a float graph for dynamic-int8: weights become int8 in the file, activations become
// uint8 while the model runs, each tensor by its own range.
//
// Thread-safety: one owner.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/compress/int8_graph.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

struct DynamicOptions {
  bool per_channel = true;
  bool store = false;                 // other large weights: int8 with DequantizeLinear
  std::uint64_t min_elements = 1024;  // smaller weights stay
  int most = kFullRange;
  std::set<std::string> skip;  // first outputs of products that stay
};

class DynamicRewrite {
 public:
  DynamicRewrite(OnnxGraph& graph, const DynamicOptions& options)
      : graph_(graph), options_(options) {}

  // Beside each product that `run` would rewrite one that it rewrites in its place, and two sums of
  // squares (add_error_sums); `skip` becomes the originals. Answers their first outputs.
  Result<std::vector<std::string>> add_twins(std::vector<std::string>& sums);
  // Products of the model's inputs that have units of their own, by the weights: see the .cc.
  std::vector<std::string> uneven() const;

  // What has to be true of the model before `run`: the opset that the nodes to be made need.
  std::int64_t needed_opset();
  // Errors: those of reading weights; kCancelled; `not_compressible` where nothing was done.
  Result<void> run(const std::atomic<bool>& stop,
                   const std::function<void(std::string_view, double)>& progress);

  const std::vector<std::string>& notes() const { return notes_; }
  const nlohmann::json& layers() const { return layers_; }

 private:
  // A product with constant weights, whichever operator it is written as.
  struct Product {
    onnx::NodeProto* node = nullptr;
    std::string weights;
    bool transposed = false;  // weights are [N, K]
    float alpha = 1;
    float beta = 1;
    std::string bias;  // may be empty
  };
  struct Activation {
    std::string values;
    std::string scale;
    std::string zero;
  };

  struct Weights {
    std::string values;  // empty: they stay
    std::string scales;
    std::size_t columns = 0;
    std::uint64_t elements = 0;
    double error = 0;
  };

  bool is_large(const onnx::TensorProto* tensor) const;
  bool is_product(const onnx::NodeProto& node, Product* out) const;
  bool is_lookup(const onnx::NodeProto& node) const;
  std::vector<std::string> storable() const;

  Result<void> rewrite(const Product& product);
  Result<Weights> weights(const Product& product);
  Result<void> look_up(onnx::NodeProto& node);
  Result<void> store(const std::string& name);
  const Activation& activation(const std::string& value);
  Result<std::string> bias_of(const Product& product, std::size_t columns);
  Result<void> leave(const onnx::NodeProto& node, const Error& why);
  void tell(const onnx::NodeProto& node, std::string_view scheme, std::uint64_t elements,
            double error);

  OnnxGraph& graph_;
  DynamicOptions options_;
  std::map<std::string, Activation> activations_;
  std::map<std::tuple<std::string, bool, float>, Weights> weights_;  // transposed, alpha
  std::vector<std::string> notes_;
  nlohmann::json layers_ = nlohmann::json::array();
};

}  // namespace sluice::tools::compress
