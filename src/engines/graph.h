// A pipeline as a graph: which step reads what another makes, in which order they run, and which of
// them may use the same memory. Pure: it knows the names of steps and tensors and nothing else.
//
// Thread-safety: plain values. Errors: every mistake with its place, in `problems`.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engines/graph_decl.h"

namespace sluice::engines {

// What a step reads and makes, in its own words.
struct Ports {
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  // There may be more, which only its file tells; then less can be told of mistakes. Such a graph
  // cannot be run.
  bool more_inputs = false;
  bool more_outputs = false;
};

struct Graph {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  struct Tensor {
    std::string name;
    std::size_t maker = kNone;         // the step; kNone: an input of the graph
    std::vector<std::size_t> readers;  // steps
  };
  struct Wires {
    std::vector<std::size_t> inputs;  // places in `tensors`, in the order of the step's ports
    std::vector<std::size_t> outputs;
    // Which scratch memory its outputs lie in; kNone: some of them are the graph's own outputs.
    std::size_t scratch = kNone;
  };

  std::vector<Tensor> tensors;
  std::vector<Wires> steps;         // as declared
  std::vector<std::size_t> order;   // each step after those that it reads from
  std::vector<std::size_t> inputs;  // tensors
  std::vector<std::size_t> outputs;
  // How many scratch memories it takes: a step may use one again once everything that was in it
  // has been read. A chain takes two.
  std::size_t scratches = 0;
};

// `ports` has an element for each step. Nothing where there are problems.
std::optional<Graph> wire(const GraphDecl& decl, std::span<const Ports> ports, Problems& problems);

}  // namespace sluice::engines
