// What flows along a pipeline's graph: the types, shapes and meanings of its tensors, found out
// step by step when it is loaded, and the signature that follows from them.
//
// Thread-safety: functions without state. Errors: every mistake with its place, in `problems`.
#pragma once

#include <memory>
#include <vector>

#include "engines/graph.h"
#include "engines/step.h"

namespace sluice::engines {

using Steps = std::vector<std::unique_ptr<Step>>;

// One edge for each tensor of the graph; binds the steps. Not complete where problems are told.
std::vector<Edge> settle(const GraphDecl& decl, const Graph& graph, const Steps& steps,
                         Problems& problems);

// Roles, classes and names of columns come from the members. Where some member does not keep rows
// apart, the pipeline takes one row at a time: batches would mix the rows of different requests.
Signature signature_of(const Graph& graph, const Steps& steps, const std::vector<Edge>& edges);

}  // namespace sluice::engines
