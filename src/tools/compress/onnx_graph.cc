#include "tools/compress/onnx_graph.h"

#include <fcntl.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <queue>

#include "base/file.h"
#include "tools/batch/file_bytes.h"
#include "tools/compress/model_file.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

// Protobuf's own limit, and room for the rest of the message.
constexpr std::uint64_t kMostInline = (std::uint64_t{2} << 30) - (std::uint64_t{64} << 20);

// From this IR version on weights need not be inputs.
constexpr std::int64_t kOwnWeights = 4;

void take_from_inputs(onnx::ModelProto& model) {
  std::set<std::string> weights;
  for (const auto& tensor : model.graph().initializer()) weights.insert(tensor.name());
  auto& inputs = *model.mutable_graph()->mutable_input();
  inputs.erase(std::remove_if(inputs.begin(), inputs.end(),
                              [&](const auto& input) { return weights.contains(input.name()); }),
               inputs.end());
  model.set_ir_version(kOwnWeights);
}

Failure bad_model(const std::string& what) { return invalid("bad_model", what); }

Failure unwritable() {
  return unavailable("unwritable",
                     "the new version cannot be written: " + std::string(std::strerror(errno)) +
                         "; check that its disk has room");
}

void each_subgraph(onnx::NodeProto& node, const std::function<void(onnx::GraphProto&)>& see) {
  for (auto& attribute : *node.mutable_attribute()) {
    if (attribute.has_g()) see(*attribute.mutable_g());
    for (auto& graph : *attribute.mutable_graphs()) see(graph);
  }
}

// What nodes below this one take; some of it from the top graph.
void taken_below(onnx::NodeProto& node, std::set<std::string>& out) {
  each_subgraph(node, [&](onnx::GraphProto& graph) {
    for (auto& inner : *graph.mutable_node()) {
      out.insert(inner.input().begin(), inner.input().end());
      taken_below(inner, out);
    }
    for (const auto& output : graph.output()) out.insert(output.name());
  });
}

std::set<std::string> taken_by(onnx::NodeProto& node) {
  std::set<std::string> out(node.input().begin(), node.input().end());
  taken_below(node, out);
  out.erase("");
  return out;
}

void rename_in(onnx::GraphProto& graph, std::string_view from, std::string_view to) {
  for (auto& node : *graph.mutable_node()) {
    for (auto& input : *node.mutable_input()) {
      if (input == from) input = to;
    }
    each_subgraph(node, [&](onnx::GraphProto& below) { rename_in(below, from, to); });
  }
}

void collect_names(onnx::GraphProto& graph, std::set<std::string, std::less<>>& out) {
  for (const auto& tensor : graph.initializer()) out.insert(tensor.name());
  for (const auto& value : graph.input()) out.insert(value.name());
  for (auto& node : *graph.mutable_node()) {
    out.insert(node.name());
    out.insert(node.output().begin(), node.output().end());
    each_subgraph(node, [&](onnx::GraphProto& below) { collect_names(below, out); });
  }
}

}  // namespace

Result<OnnxGraph> OnnxGraph::open(const fs::path& file, const fs::path& weights) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return unavailable("unreadable",
                       "the model's file cannot be read: " + std::string(std::strerror(errno)));
  }
  OnnxGraph out;
  out.directory_ = weights.empty() ? file.parent_path() : weights;
  google::protobuf::io::FileInputStream stream(fd.get());
  google::protobuf::io::CodedInputStream coded(&stream);
  coded.SetTotalBytesLimit(std::numeric_limits<int>::max());
  if (!out.model_.ParseFromCodedStream(&coded) || !coded.ConsumedEntireMessage() ||
      !out.model_.has_graph() || out.model_.graph().node_size() == 0) {
    return bad_model("the file is no ONNX model, or one of more than 2 GiB in one piece");
  }
  if (out.model_.ir_version() < kOwnWeights) take_from_inputs(out.model_);
  out.index();
  return out;
}

Result<void> OnnxGraph::save(const fs::path& file) const {
  onnx::ModelProto written = model_;
  const bool beside = weight_bytes() > kMostInline ||
                      std::ranges::any_of(model_.graph().initializer(), is_external);
  if (beside) {
    const fs::path data = file.native() + ".data";
    const Fd fd(::open(data.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return unwritable();
    ByteWriter data_writer(fd);
    for (auto& tensor : *written.mutable_graph()->mutable_initializer()) {
      if (tensor.data_type() == onnx::TensorProto::STRING) continue;
      SLUICE_TRY(const auto raw, bytes(tensor));
      const auto at = data_writer.position();
      SLUICE_CHECK(data_writer.write(raw));
      auto outside = tensor_of(tensor.name(), dims_of(tensor), tensor.data_type(), "");
      outside.clear_raw_data();
      outside.set_data_location(onnx::TensorProto::EXTERNAL);
      const std::pair<const char*, std::string> entries[] = {
          {"location", data.filename().string()},
          {"offset", std::to_string(at)},
          {"length", std::to_string(raw.size())}};
      for (const auto& [key, value] : entries) {
        auto& entry = *outside.add_external_data();
        entry.set_key(key);
        entry.set_value(value);
      }
      tensor = std::move(outside);
    }
    if (::fsync(fd.get()) != 0) return unwritable();
  }
  std::string text;
  if (!written.SerializeToString(&text)) {
    return internal("the model that was made cannot be written as protobuf");
  }
  return write_model_file(file, text);
}

std::int64_t OnnxGraph::opset(std::string_view domain) const {
  const auto same = [](std::string_view a, std::string_view b) {
    return a == b || (a.empty() && b == "ai.onnx") || (b.empty() && a == "ai.onnx");
  };
  for (const auto& import : model_.opset_import()) {
    if (same(import.domain(), domain)) return import.version();
  }
  return 0;
}

void OnnxGraph::need_opset(std::string_view domain, std::int64_t version) {
  for (auto& import : *model_.mutable_opset_import()) {
    if (import.domain() != domain) continue;
    import.set_version(std::max(import.version(), version));
    return;
  }
  auto& import = *model_.add_opset_import();
  import.set_domain(std::string(domain));
  import.set_version(version);
}

onnx::TensorProto* OnnxGraph::constant(std::string_view name) {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : found->second;
}

const onnx::TensorProto* OnnxGraph::constant(std::string_view name) const {
  const auto found = constants_.find(name);
  return found == constants_.end() ? nullptr : found->second;
}

onnx::NodeProto* OnnxGraph::maker(std::string_view value) {
  const auto found = makers_.find(value);
  return found == makers_.end() ? nullptr : found->second;
}

std::vector<onnx::NodeProto*> OnnxGraph::takers(std::string_view value) {
  const auto found = takers_.find(value);
  return found == takers_.end() ? std::vector<onnx::NodeProto*>() : found->second;
}

bool OnnxGraph::is_output(std::string_view value) const {
  return std::ranges::any_of(graph().output(),
                             [&](const auto& output) { return output.name() == value; });
}

bool OnnxGraph::has_subgraph(const onnx::NodeProto& node) {
  return std::ranges::any_of(node.attribute(), [](const onnx::AttributeProto& attribute) {
    return attribute.has_g() || attribute.graphs_size() > 0;
  });
}

std::string OnnxGraph::fresh_name(std::string_view wanted) {
  std::string out(wanted);
  for (int number = 2; !names_.insert(out).second; ++number) {
    out = std::string(wanted) + "_" + std::to_string(number);
  }
  return out;
}

onnx::NodeProto& OnnxGraph::add_node(std::string_view op, std::string_view name,
                                     std::vector<std::string> inputs,
                                     std::vector<std::string> outputs, std::string_view domain) {
  auto& out = *graph().add_node();
  out.set_op_type(std::string(op));
  out.set_name(std::string(name));
  if (!domain.empty()) out.set_domain(std::string(domain));
  for (auto& input : inputs) out.add_input(std::move(input));
  for (auto& output : outputs) out.add_output(std::move(output));
  return out;
}

void OnnxGraph::take_constants() {
  std::vector<onnx::TensorProto> taken;
  remove_nodes([&](const onnx::NodeProto& node) {
    const auto* const value = attribute(node, "value");
    if (node.op_type() != "Constant" || !value || !value->has_t() || node.output_size() != 1 ||
        is_external(value->t()) || is_output(node.output(0))) {
      return false;
    }
    taken.push_back(value->t());
    taken.back().set_name(node.output(0));
    return true;
  });
  for (auto& tensor : taken) *graph().add_initializer() = std::move(tensor);
}

void OnnxGraph::remove_nodes(const std::function<bool(const onnx::NodeProto&)>& which) {
  auto& nodes = *graph().mutable_node();
  int kept = 0;
  for (int i = 0; i < nodes.size(); ++i) {
    if (which(nodes[i])) continue;
    if (kept != i) nodes.SwapElements(kept, i);
    ++kept;
  }
  nodes.DeleteSubrange(kept, nodes.size() - kept);
}

void OnnxGraph::rename_uses(std::string_view from, std::string_view to) {
  rename_in(graph(), from, to);
}

Result<void> OnnxGraph::settle() {
  auto& nodes = *graph().mutable_node();
  const auto count = static_cast<std::size_t>(nodes.size());
  std::map<std::string, std::size_t> made;
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto& output : nodes[static_cast<int>(i)].output()) made[output] = i;
  }
  // Kahn's algorithm; of those that are ready the one that came first, so that a graph that is in
  // order stays as it is.
  std::vector<std::size_t> waits(count);
  std::vector<std::vector<std::size_t>> next(count);
  std::set<std::string> taken;
  for (std::size_t i = 0; i < count; ++i) {
    for (const auto& value : taken_by(nodes[static_cast<int>(i)])) {
      taken.insert(value);
      const auto maker = made.find(value);
      if (maker == made.end()) continue;
      ++waits[i];
      next[maker->second].push_back(i);
    }
  }
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < count; ++i) {
    if (waits[i] == 0) ready.push(i);
  }
  google::protobuf::RepeatedPtrField<onnx::NodeProto> sorted;
  while (!ready.empty()) {
    const std::size_t first = ready.top();
    ready.pop();
    sorted.Add()->Swap(&nodes[static_cast<int>(first)]);
    for (const std::size_t other : next[first]) {
      if (--waits[other] == 0) ready.push(other);
    }
  }
  if (static_cast<std::size_t>(sorted.size()) != count) {
    return internal("the model that was made has a cycle");
  }
  nodes.Swap(&sorted);
  auto& constants = *graph().mutable_initializer();
  constants.erase(std::remove_if(constants.begin(), constants.end(),
                                 [&](const onnx::TensorProto& tensor) {
                                   return !taken.contains(tensor.name()) &&
                                          !is_output(tensor.name());
                                 }),
                  constants.end());
  auto& said = *graph().mutable_value_info();
  said.erase(std::remove_if(said.begin(), said.end(),
                            [&](const auto& value) { return !made.contains(value.name()); }),
             said.end());
  index();
  return {};
}

void OnnxGraph::index() {
  constants_.clear();
  makers_.clear();
  takers_.clear();
  names_.clear();
  for (auto& tensor : *graph().mutable_initializer()) constants_[tensor.name()] = &tensor;
  for (const auto& input : graph().input()) constants_.erase(input.name());
  for (auto& node : *graph().mutable_node()) {
    for (const auto& output : node.output()) makers_[output] = &node;
    for (const auto& value : taken_by(node)) takers_[value].push_back(&node);
  }
  collect_names(graph(), names_);
}

}  // namespace sluice::tools::compress
