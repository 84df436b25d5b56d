// Models of older versions of ONNX's operators, as the same models of a later one.
//
// Thread-safety: that of the graph.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {

// Raises the version of the standard's operators to `wanted` (13 at most) where it is lower. Nodes
// whose operator is written otherwise by then are rewritten (ONNX, docs/Changelog.md); the others
// mean the same. `why` begins the message where that cannot be done ("int8 needs"). Errors:
// kInvalidArgument/`not_compressible`, with the way to upgrade.
Result<void> raise_opset(OnnxGraph& graph, std::int64_t wanted, std::string_view why,
                         std::vector<std::string>& notes);

}  // namespace sluice::tools::compress
