#include "tools/compress/dynamic_rewrite.h"

#include <algorithm>

#include "base/text.h"
#include "tools/compress/rehearsal.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

constexpr auto kFloat = static_cast<std::int64_t>(onnx::TensorProto::FLOAT);

// Along which dimension of its weights an operator's channels lie; of LSTM and its kin it is the
// second, as the first is the direction.
std::size_t channels_of(const onnx::NodeProto& node) {
  const std::string_view op = node.op_type();
  return op == "ConvTranspose" || op == "LSTM" || op == "GRU" || op == "RNN" ? 1 : 0;
}

}  // namespace

bool DynamicRewrite::is_large(const onnx::TensorProto* tensor) const {
  return tensor != nullptr && tensor->data_type() == onnx::TensorProto::FLOAT &&
         elements_of(*tensor) >= std::max<std::uint64_t>(options_.min_elements, 1);
}

bool DynamicRewrite::is_product(const onnx::NodeProto& node, Product* out) const {
  if (!is_standard(node) || node.input_size() < 2) return false;
  if (options_.skip.contains(node.output(0))) return false;
  const auto* const weights = graph_.constant(node.input(1));
  if (!is_large(weights) || graph_.constant(node.input(0)) != nullptr) return false;
  const bool gemm = node.op_type() == "Gemm" && weights->dims_size() == 2 &&
                    attribute_int(node, "transA", 0) == 0;
  if (!gemm && (node.op_type() != "MatMul" || weights->dims_size() < 2)) return false;
  if (out == nullptr) return true;
  out->weights = node.input(1);
  if (!gemm) return true;
  out->transposed = attribute_int(node, "transB", 0) != 0;
  out->alpha = attribute_float(node, "alpha", 1);
  out->beta = attribute_float(node, "beta", 1);
  if (node.input_size() > 2) out->bias = node.input(2);
  return true;
}

// A table that only look-ups of rows take. Others would need it as floats beside.
bool DynamicRewrite::is_lookup(const onnx::NodeProto& node) const {
  if (!is_standard(node) || node.op_type() != "Gather" || node.input_size() != 2) return false;
  const auto* const table = graph_.constant(node.input(0));
  if (!is_large(table) || table->dims_size() < 2 || attribute_int(node, "axis", 0) != 0) {
    return false;
  }
  return !graph_.is_output(node.input(0));
}

// The weights of all other nodes, if they are asked for. Those of graphs within nodes too, as they
// are named by what is around them.
std::vector<std::string> DynamicRewrite::storable() const {
  std::vector<std::string> out;
  if (!options_.store) return out;
  for (const auto& tensor : graph_.graph().initializer()) {
    const auto takers = const_cast<OnnxGraph&>(graph_).takers(tensor.name());
    const bool rewritten = std::ranges::any_of(
        takers, [&](const auto* node) { return is_product(*node, nullptr) || is_lookup(*node); });
    if (is_large(graph_.constant(tensor.name())) && tensor.dims_size() >= 2 && !takers.empty() &&
        !rewritten && !graph_.is_output(tensor.name())) {
      out.push_back(tensor.name());
    }
  }
  return out;
}

std::int64_t DynamicRewrite::needed_opset() {
  return storable().empty() ? 11 : 13;  // DynamicQuantizeLinear; DequantizeLinear's axis
}

Result<std::vector<std::string>> DynamicRewrite::add_twins(std::vector<std::string>& sums) {
  std::vector<std::string> out;
  std::vector<onnx::NodeProto> twins;
  for (const auto& node : graph_.graph().node()) {
    if (!is_product(node, nullptr)) continue;
    out.push_back(node.output(0));
    twins.push_back(node);
  }
  for (auto& twin : twins) {
    const auto value = twin.output(0);
    twin.set_output(0, graph_.fresh_name(value + "_twin"));
    twin.set_name(twin.output(0));
    add_error_sums(graph_, twin.output(0), value, sums);
    *graph_.graph().add_node() = twin;
  }
  SLUICE_CHECK(graph_.settle());
  options_.skip.insert(out.begin(), out.end());
  return out;
}

// Where a model was trained on features of a scale and that scale was folded into its first
// weights, those of small features are far larger than those of large ones. One step for all
// activations, as wide as the largest feature needs, leaves nothing of the small ones then.
std::vector<std::string> DynamicRewrite::uneven() const {
  constexpr float kMost = 100;  // of the ninth tenth to the first
  std::vector<std::string> out;
  for (const auto& node : graph_.graph().node()) {
    Product product;
    if (!is_product(node, &product)) continue;
    const bool input = std::ranges::any_of(
        graph_.graph().input(), [&](const auto& each) { return each.name() == node.input(0); });
    const auto& tensor = *graph_.constant(product.weights);
    const auto values = weights_of(graph_, tensor);
    if (!input || tensor.dims_size() != 2 || !values) continue;
    const auto layout = layout_of(dims_of(tensor), product.transposed ? 1 : 0);
    // The scale of a channel is its largest weight, but for a factor.
    auto largest = quantize_weights(*values, layout, kFullRange).scales;
    std::ranges::sort(largest);
    const std::size_t tenth = largest.size() / 10;
    if (largest[largest.size() - 1 - tenth] > kMost * largest[tenth]) out.push_back(node.output(0));
  }
  return out;
}

Result<void> DynamicRewrite::run(const std::atomic<bool>& stop,
                                 const std::function<void(std::string_view, double)>& progress) {
  // Nodes that are added lie behind the others and do not move them.
  std::vector<onnx::NodeProto*> nodes;
  std::vector<std::string> left;
  const auto stored = storable();
  for (auto& node : *graph_.graph().mutable_node()) {
    if (is_product(node, nullptr) || is_lookup(node)) {
      nodes.push_back(&node);
    } else if (std::ranges::any_of(node.input(), [&](const auto& input) {
                 const auto* const weights = graph_.constant(input);
                 return is_large(weights) && weights->dims_size() >= 2 &&
                        std::ranges::find(stored, input) == stored.end();
               })) {
      left.push_back(node.op_type());
    }
  }
  const double all = static_cast<double>(std::max<std::size_t>(nodes.size() + stored.size(), 1));
  double done = 0;
  for (auto* const node : nodes) {
    if (stop) return stopped();
    progress(shown(*node), done++ / all);
    Product product;
    product.node = node;
    SLUICE_CHECK(is_product(*node, &product) ? rewrite(product) : look_up(*node));
  }
  for (const auto& name : stored) {
    if (stop) return stopped();
    progress(printable(name), done++ / all);
    SLUICE_CHECK(store(name));
  }
  if (layers_.empty()) {
    const auto within = control_flow(graph_);
    return not_compressible(
        "no weights of at least " + std::to_string(options_.min_elements) +
        " numbers are multiplied by (MatMul, Gemm) or looked up (Gather)" +
        (left.empty() ? "; a lower min_elements takes smaller ones"
                      : ", only " + counted(left) +
                            " have such; use static-int8, or store=true, which makes the file "
                            "smaller and the model slower") +
        (within.empty() ? "" : "; " + within));
  }
  if (!left.empty()) {
    notes_.push_back("the weights of " + counted(left) + " stay in FP32" +
                     (options_.store ? "" : "; store=true makes those smaller as well"));
  }
  if (!activations_.empty()) {
    notes_.emplace_back(
        "activations are quantised by the range of all rows of an execution, so a row's answer "
        "depends a little on the rows that it is batched with");
  }
  graph_.remove_nodes([](const onnx::NodeProto& node) { return node.op_type().empty(); });
  return graph_.settle();
}

// Cast(MatMulInteger(A)) · (a_scale · b_scale) + bias: what ONNX Runtime fuses into
// DynamicQuantizeMatMul (core/optimizer/matmul_integer_to_float.cc).
Result<void> DynamicRewrite::rewrite(const Product& product) {
  auto& node = *product.node;
  SLUICE_TRY(const auto made, weights(product));
  if (made.values.empty()) return {};
  SLUICE_TRY(const auto bias, bias_of(product, made.columns));

  const auto a = activation(node.input(0));
  const std::string out = node.output(0);
  const auto name = [&](std::string_view what) {
    return graph_.fresh_name(out + "_" + std::string(what));
  };
  const auto whole = name("integer");
  const auto real = name("cast");
  const auto scale = name("scale");
  const auto scaled = bias.empty() ? out : name("product");
  graph_.add_node("MatMulInteger", name("matmul"), {a.values, made.values, a.zero}, {whole});
  set_attribute(graph_.add_node("Cast", name("to_float"), {whole}, {real}), "to", kFloat);
  graph_.add_node("Mul", name("scales"), {a.scale, made.scales}, {scale});
  graph_.add_node("Mul", name("rescale"), {real, scale}, {scaled});
  if (!bias.empty()) graph_.add_node("Add", name("bias"), {scaled, bias}, {out});
  node.clear_op_type();
  return {};
}

// As [K, N] with alpha in them; once for all nodes that take them alike. Without names where they
// cannot be quantised.
Result<DynamicRewrite::Weights> DynamicRewrite::weights(const Product& product) {
  const auto& node = *product.node;
  const auto [found, fresh] =
      weights_.try_emplace({product.weights, product.transposed, product.alpha});
  auto& out = found->second;
  if (!fresh) {
    if (!out.values.empty()) tell(node, "dynamic", out.elements, out.error);
    return out;
  }
  const auto& tensor = *graph_.constant(product.weights);
  auto values = weights_of(graph_, tensor);
  if (!values) {
    SLUICE_CHECK(leave(node, values.error()));
    return out;
  }
  auto dims = dims_of(tensor);
  if (product.transposed) {
    *values =
        transposed(*values, static_cast<std::size_t>(dims[0]), static_cast<std::size_t>(dims[1]));
    std::swap(dims[0], dims[1]);
  }
  if (product.alpha != 1) {
    for (auto& value : *values) value *= product.alpha;
  }
  // A stack of matrices has one scale: several would be for each column of all of them.
  const bool per_channel = options_.per_channel && dims.size() == 2;
  const auto layout = layout_of(dims, per_channel ? std::optional(dims.size() - 1) : std::nullopt);
  const auto made = quantize_weights(*values, layout, options_.most);
  out.elements = values->size();
  out.error = weight_error(*values, made, layout);
  out.columns = static_cast<std::size_t>(dims.back());
  out.values = add_int8(graph_, product.weights + "_int8", dims, made.values);
  out.scales = add_floats(graph_, product.weights + "_scale", made.scales);
  tell(node, "dynamic", out.elements, out.error);
  return out;
}

// The name of what is added; beta is in it. One dimension where that is possible: the fusion asks
// for it.
Result<std::string> DynamicRewrite::bias_of(const Product& product, std::size_t columns) {
  if (product.bias.empty() || product.beta == 0) return std::string();
  const auto* const tensor = graph_.constant(product.bias);
  if (tensor != nullptr && tensor->data_type() == onnx::TensorProto::FLOAT) {
    const bool flat = elements_of(*tensor) == columns &&
                      tensor->dims(tensor->dims_size() - 1) == static_cast<std::int64_t>(columns);
    if (product.beta == 1 && tensor->dims_size() == 1) return product.bias;
    SLUICE_TRY(auto values, graph_.floats(*tensor));
    for (auto& value : values) value *= product.beta;
    auto dims = dims_of(*tensor);
    if (flat) dims = {static_cast<std::int64_t>(columns)};
    auto out = graph_.fresh_name(product.bias + "_scaled");
    *graph_.graph().add_initializer() = tensor_of(out, dims, std::span<const float>(values));
    return out;
  }
  if (product.beta == 1) return product.bias;
  const auto beta = add_floats(graph_, product.bias + "_beta", std::span(&product.beta, 1));
  auto out = graph_.fresh_name(product.bias + "_scaled");
  graph_.add_node("Mul", graph_.fresh_name(product.bias + "_times_beta"), {product.bias, beta},
                  {out});
  return out;
}

const DynamicRewrite::Activation& DynamicRewrite::activation(const std::string& value) {
  const auto [found, fresh] = activations_.try_emplace(value);
  auto& out = found->second;
  if (!fresh) return out;
  out.values = graph_.fresh_name(value + "_uint8");
  out.scale = graph_.fresh_name(value + "_scale");
  out.zero = graph_.fresh_name(value + "_zero");
  graph_.add_node("DynamicQuantizeLinear", graph_.fresh_name(value + "_quantize"), {value},
                  {out.values, out.scale, out.zero});
  return out;
}

// Rows are looked up as int8 and made floats then: Cast(Gather(int8)) · Gather(scales), with a
// scale for each row of the table.
Result<void> DynamicRewrite::look_up(onnx::NodeProto& node) {
  const std::string table = node.input(0);
  for (const auto* const taker : graph_.takers(table)) {
    if (taker->op_type().empty() || is_lookup(*taker)) continue;
    return leave(node, not_compressible("another node takes its weights too").error());
  }
  const auto& tensor = *graph_.constant(table);
  const auto values = weights_of(graph_, tensor);
  if (!values) return leave(node, values.error());
  auto dims = dims_of(tensor);
  const auto layout = layout_of(dims, 0);
  const auto made = quantize_weights(*values, layout, kFullRange);
  tell(node, "lookup", values->size(), weight_error(*values, made, layout));
  const std::string out = node.output(0);
  const auto name = [&](std::string_view what) {
    return graph_.fresh_name(out + "_" + std::string(what));
  };
  const auto rows = add_int8(graph_, table + "_int8", dims, made.values);
  const auto scales = graph_.fresh_name(table + "_scale");
  std::ranges::fill(dims.begin() + 1, dims.end(), 1);
  *graph_.graph().add_initializer() = tensor_of(scales, dims, std::span<const float>(made.scales));
  const auto whole = name("int8");
  const auto real = name("cast");
  const auto scale = name("scale");
  graph_.add_node("Gather", name("rows"), {rows, node.input(1)}, {whole});
  graph_.add_node("Gather", name("scales"), {scales, node.input(1)}, {scale});
  set_attribute(graph_.add_node("Cast", name("to_float"), {whole}, {real}), "to", kFloat);
  graph_.add_node("Mul", name("rescale"), {real, scale}, {out});
  node.clear_op_type();
  return {};
}

Result<void> DynamicRewrite::store(const std::string& weights) {
  const auto& tensor = *graph_.constant(weights);
  const auto& taker = *graph_.takers(weights).front();
  const auto values = weights_of(graph_, tensor);
  if (!values) return leave(taker, values.error());
  const auto dims = dims_of(tensor);
  const std::size_t axis = channels_of(taker);
  const auto layout = layout_of(dims, options_.per_channel ? std::optional(axis) : std::nullopt);
  const auto made = quantize_weights(*values, layout, kFullRange);
  tell(taker, "store", values->size(), weight_error(*values, made, layout));
  const auto whole = add_int8(graph_, weights + "_int8", dims, made.values);
  auto scales = graph_.fresh_name(weights + "_scale");
  const std::int64_t count = static_cast<std::int64_t>(made.scales.size());
  const std::span<const std::int64_t> scale_dims(&count, options_.per_channel ? 1 : 0);
  *graph_.graph().add_initializer() =
      tensor_of(scales, scale_dims, std::span<const float>(made.scales));
  auto real = graph_.fresh_name(weights + "_float");
  graph_.rename_uses(weights, real);
  auto& node = graph_.add_node("DequantizeLinear", graph_.fresh_name(weights + "_dequantize"),
                               {whole, scales}, {real});
  if (options_.per_channel) set_attribute(node, "axis", static_cast<std::int64_t>(axis));
  return {};
}

Result<void> DynamicRewrite::leave(const onnx::NodeProto& node, const Error& why) {
  notes_.push_back(node.op_type() + " '" + shown(node) + "' was left alone: " + why.message);
  return {};
}

void DynamicRewrite::tell(const onnx::NodeProto& node, std::string_view scheme,
                          std::uint64_t elements, double error) {
  layers_.push_back({{"name", shown(node)},
                     {"op", node.op_type()},
                     {"scheme", scheme},
                     {"weights", elements},
                     {"weight_error", error}});
}

}  // namespace sluice::tools::compress
