// The same model in fewer bytes, for what adds many small nodes and constants to it.
//
// Thread-safety: that of the graph.
#pragma once

#include "base/error.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

// Equal constants are kept once, and values inside the graph get short names: what exporters call
// them can be longer than what they are. Inputs, outputs and nodes keep their names; with control
// flow, whose graphs see the names outside, all do. Errors: those of OnnxGraph::settle.
Result<void> compact(OnnxGraph& graph);

}  // namespace sluice::tools::compress
