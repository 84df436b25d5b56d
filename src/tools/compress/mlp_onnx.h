// A trained network as an ONNX model that takes and gives what its teacher does. Opset 13, IR 8.
//
// Thread-safety: a function without state.
#pragma once

#include <string>
#include <vector>

#include "tools/compress/mlp_training.h"
#include "tools/compress/onnx_graph.h"
#include "tools/compress/teacher.h"

namespace sluice::tools::compress {

struct WrittenMlp {
  OnnxGraph graph;
  std::vector<std::string> left_out;  // outputs of the teacher that the student does not have
};

// The student has the teacher's input, the output that was taught and the label that follows from
// it, of the same names, types and shapes. `original`: the teacher's own graph where it is ONNX,
// whose maps of probabilities (ZipMap) are made again; null: it is of another format. Errors:
// kInternal.
Result<WrittenMlp> write_mlp(const TrainedMlp& trained, const Teacher& teacher,
                             const OnnxGraph* original);

}  // namespace sluice::tools::compress
