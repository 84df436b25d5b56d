#include "tools/compress/compact.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace sluice::tools::compress {
namespace {

// Larger ones are weights, which are seldom equal.
constexpr std::size_t kMostCompared = std::size_t{64} << 10;

using Names = std::set<std::string, std::less<>>;

// What others call by name.
Names names_outside(const OnnxGraph& graph) {
  Names out;
  for (const auto& input : graph.graph().input()) out.insert(input.name());
  for (const auto& output : graph.graph().output()) out.insert(output.name());
  return out;
}

void keep_equal_once(OnnxGraph& graph, const Names& outside) {
  std::map<std::tuple<std::int32_t, std::vector<std::int64_t>, std::string>, std::string> first;
  for (const auto& tensor : graph.graph().initializer()) {
    const bool compared =
        !is_external(tensor) && tensor.has_raw_data() && tensor.raw_data().size() <= kMostCompared;
    if (!compared || outside.contains(tensor.name())) continue;
    const auto [found, fresh] =
        first.try_emplace({tensor.data_type(), dims_of(tensor), tensor.raw_data()}, tensor.name());
    if (!fresh) graph.rename_uses(tensor.name(), found->second);
  }
}

bool has_other_graphs(const OnnxGraph& graph) {
  return graph.graph().quantization_annotation_size() > 0 ||
         std::ranges::any_of(graph.graph().node(), OnnxGraph::has_subgraph);
}

class ShortNames {
 public:
  ShortNames(OnnxGraph& graph, const Names& outside) : graph_(graph), outside_(outside) {}

  void give() {
    for (auto& tensor : *graph_.graph().mutable_initializer()) shorten(*tensor.mutable_name());
    for (auto& node : *graph_.graph().mutable_node()) {
      for (auto& value : *node.mutable_input()) shorten(value);
      for (auto& value : *node.mutable_output()) shorten(value);
    }
    for (auto& value : *graph_.graph().mutable_value_info()) shorten(*value.mutable_name());
  }

 private:
  // An empty one is an input or output that is left out.
  void shorten(std::string& name) {
    if (name.empty() || outside_.contains(name)) return;
    auto& known = short_[name];
    if (known.empty()) known = graph_.fresh_name("v" + std::to_string(short_.size()));
    name = known;
  }

  OnnxGraph& graph_;
  const Names& outside_;
  std::map<std::string, std::string, std::less<>> short_;
};

}  // namespace

Result<void> compact(OnnxGraph& graph) {
  const auto outside = names_outside(graph);
  keep_equal_once(graph, outside);
  SLUICE_CHECK(graph.settle());
  if (has_other_graphs(graph)) return {};
  ShortNames(graph, outside).give();
  return graph.settle();
}

}  // namespace sluice::tools::compress
