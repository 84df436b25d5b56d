// Where the output channels of a layer go: every tensor that has a part for each of them, up to the
// next layers' inputs. Found by what operators do to channels (ONNX operator specification);
// whatever is not known ends the search with a reason.
//
// Thread-safety: one owner of the graph.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/onnx_graph.h"
#include "tools/compress/prune.h"

namespace sluice::tools::compress {

// Along `axis` of a tensor each channel has `block` elements, one channel after the other.
struct ChannelCut {
  std::string tensor;
  int axis = 0;
  std::int64_t block = 1;
};

struct ChannelFlow {
  std::int64_t channels = 0;
  ChannelCut weight;             // of the layer itself
  std::vector<ChannelCut> cuts;  // all others: biases, normalisations, the next layers' weights
  std::vector<std::string> reshapes;  // outputs of Reshape nodes to two dimensions of fixed size
  std::set<std::string> values;       // that change their shape
  std::string reason;                 // not empty: it cannot be followed, "its output is added …"
};

ChannelFlow follow_channels(OnnxGraph& graph, const PrunableLayer& layer);

}  // namespace sluice::tools::compress
