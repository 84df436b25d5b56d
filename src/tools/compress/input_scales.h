// How large what a layer takes is: a small weight of a large input says more than a large one of a
// small input (Sun and others, "A simple and effective pruning approach for large language models",
// 2023, whose score of a weight is its magnitude times the norm of its input). Models that take
// features of different units, and have their scaling folded into the first layer, need it.
//
// Thread-safety: one owner of the graph.
#pragma once

#include <span>
#include <vector>

#include "tools/compress/prune.h"

namespace sluice::tools::compress {

// Fills `scales` of the layers: the root of the mean square of each input feature or channel, over
// the first rows of the calibration data. Layers whose inputs cannot be seen, or are not finite,
// keep none. A copy of the model is written to `task.to` for a while. Errors: the lab's;
// kUnavailable/`unwritable`; kCancelled.
Result<void> measure_inputs(const OnnxGraph& graph, const Task& task,
                            std::span<PrunableLayer> layers);

// The score of each weight, in the tensor's order: its magnitude, times what its input is where
// that is known, so that a layer's sum stays what it was. How large one layer's inputs are beside
// another's says nothing: what lies between them can undo it.
Result<std::vector<float>> weight_scores(OnnxGraph& graph, const PrunableLayer& layer);

}  // namespace sluice::tools::compress
