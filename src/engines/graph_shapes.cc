#include "engines/graph_shapes.h"

#include <algorithm>

#include "base/option.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

// What the first step that reads an input and expects something of it expects.
std::optional<Edge> expected_of(const Graph& graph, const Steps& steps, std::size_t tensor) {
  for (const auto reader : graph.tensors[tensor].readers) {
    const auto& read = graph.steps[reader].inputs;
    const auto port = static_cast<std::size_t>(std::ranges::find(read, tensor) - read.begin());
    if (auto edge = steps[reader]->expects(port)) return edge;
  }
  return std::nullopt;
}

void settle_input(const GraphDecl& decl, const Graph& graph, const Steps& steps, std::size_t place,
                  Edge& edge, Problems& problems) {
  const auto tensor = graph.inputs[place];
  const auto expected = expected_of(graph, steps, tensor);
  const InputDecl* said = decl.inputs.empty() ? nullptr : &decl.inputs[place];
  const auto& name = graph.tensors[tensor].name;
  const bool typed = said != nullptr && said->type;
  const bool shaped = said != nullptr && said->shape;
  // Names of columns are those of a table of numbers, unless somebody says otherwise.
  const bool table = said != nullptr && !said->columns.empty();
  if (!expected && !(shaped && (typed || table))) {
    return report(problems, said != nullptr ? said->place : decl.place,
                  "the type and shape of the input '" + printable(name) +
                      "' are not known from the steps that read it; write inputs: [{name: " +
                      printable(name) + ", type: FP32, shape: [-1, 4]}], or whatever it is");
  }
  if (expected) edge = *expected;
  edge.spec.role = Role::kUnknown;
  if (typed) edge.spec.dtype = *said->type;
  if (shaped) edge.spec.dims = *said->shape;
  if (table) edge.columns = said->columns;
  if (edge.spec.dims.size() != 2 ||
      edge.spec.dims.back() != static_cast<std::int64_t>(edge.columns.size())) {
    edge.columns.clear();
  }
}

void settle_step(const GraphDecl& decl, const Graph& graph, std::size_t i, Step& step,
                 std::vector<Edge>& edges, Problems& problems) {
  std::vector<Edge> inputs;
  for (const auto tensor : graph.steps[i].inputs) inputs.push_back(edges[tensor]);
  auto made = step.bind(inputs);
  if (!made) {
    return report(problems, decl.steps[i].place,
                  "step '" + printable(decl.steps[i].name) + "': " + made.error().message);
  }
  for (std::size_t p = 0; p < made->size(); ++p) {
    const auto tensor = graph.steps[i].outputs[p];
    edges[tensor] = std::move((*made)[p]);
    edges[tensor].spec.name = graph.tensors[tensor].name;
  }
}

// The columns that whoever reads this tensor knows by name.
std::vector<std::string> columns_read(const Graph& graph, const Steps& steps, std::size_t tensor) {
  for (const auto reader : graph.tensors[tensor].readers) {
    if (const Model* model = steps[reader]->model()) {
      if (model->signature().inputs.size() == 1) return model->signature().columns;
    } else if (steps[reader]->keeps_columns()) {
      return columns_read(graph, steps, graph.steps[reader].outputs[0]);
    }
  }
  return {};
}

void take_over_classes(const Graph& graph, const std::vector<Edge>& edges, Signature& out) {
  const Signature* classes = nullptr;
  for (std::size_t i = 0; i < graph.outputs.size(); ++i) {
    const auto& edge = edges[graph.outputs[i]];
    if (edge.classes == nullptr) continue;
    if (classes == nullptr) {
      classes = edge.classes;
      out.classes = classes->classes;
      out.classes_are_names = classes->classes_are_names;
      out.class_names = classes->class_names;
    } else if (classes != edge.classes) {
      // Another member's classes: a label of one and the probabilities of another do not go
      // together, so that these are only values.
      out.outputs[i].role = Role::kValue;
    }
  }
}

}  // namespace

std::vector<Edge> settle(const GraphDecl& decl, const Graph& graph, const Steps& steps,
                         Problems& problems) {
  std::vector<Edge> edges(graph.tensors.size());
  const auto before = problems.size();
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    auto& edge = edges[graph.inputs[i]];
    settle_input(decl, graph, steps, i, edge, problems);
    edge.spec.name = graph.tensors[graph.inputs[i]].name;
  }
  for (const auto step : graph.order) {
    // Only the first: what follows from a mistake is none of its own.
    if (problems.size() > before) break;
    settle_step(decl, graph, step, *steps[step], edges, problems);
  }
  return edges;
}

Signature signature_of(const Graph& graph, const Steps& steps, const std::vector<Edge>& edges) {
  Signature out;
  for (const auto tensor : graph.inputs) out.inputs.push_back(edges[tensor].spec);
  for (const auto tensor : graph.outputs) out.outputs.push_back(edges[tensor].spec);
  const bool apart =
      std::ranges::all_of(steps, [](const auto& step) { return step->rows_apart(); });
  for (auto* specs : {&out.inputs, &out.outputs}) {
    for (auto& spec : *specs) {
      if (!apart && !spec.dims.empty() && spec.dims[0] == -1) spec.dims[0] = 1;
    }
  }
  take_over_classes(graph, edges, out);
  if (graph.inputs.size() != 1 || out.inputs[0].dims.size() != 2) return out;
  out.columns = edges[graph.inputs[0]].columns;
  if (out.columns.empty()) out.columns = columns_read(graph, steps, graph.inputs[0]);
  if (static_cast<std::int64_t>(out.columns.size()) != out.inputs[0].dims[1]) out.columns.clear();
  return out;
}

}  // namespace sluice::engines
