// Pipelines as graphs, without models: which mistakes are told, in which words, and in which order
// and memory what is right runs.

#include "engines/graph.h"

#include <gtest/gtest.h>

#include <map>

#include "config/yaml.h"

namespace sluice::engines {
namespace {

const std::vector<std::string> kKinds = {"argmax", "concat", "scale"};

// `model: a-b` stands for a model that reads a, b … `model: a-b>c` and makes c.
Ports ports_of(const StepDecl& step) {
  if (step.kind == "concat") {
    Ports out{{}, {"y"}};
    for (std::size_t i = 0; i < step.inputs.items.size(); ++i) {
      out.inputs.push_back("x" + std::to_string(i));
    }
    return out;
  }
  if (step.kind != "model") return {{"x"}, {"y"}};
  Ports out;
  std::vector<std::string>* to = &out.inputs;
  std::string word;
  for (const char c : step.options.scalar + "-") {
    if (c == '-' || c == '>') {
      to->push_back(word);
      word.clear();
      if (c == '>') to = &out.outputs;
    } else {
      word += c;
    }
  }
  return out;
}

struct Read {
  std::optional<Graph> graph;
  GraphDecl decl;
  std::string problems;
};

Read read(const std::string& text) {
  Read out;
  Problems problems;
  const auto root = config::parse_yaml(text, problems);
  if (root) out.decl = read_graph(*root, kKinds, problems);
  if (problems.empty()) {
    std::vector<Ports> ports;
    for (const auto& step : out.decl.steps) ports.push_back(ports_of(step));
    out.graph = wire(out.decl, ports, problems);
  }
  for (const auto& problem : problems) {
    if (!out.problems.empty()) out.problems += "\n";
    out.problems += config::show_problem("p", problem);
  }
  EXPECT_EQ(out.graph.has_value(), problems.empty());
  return out;
}

std::string steps_in_order(const Read& read) {
  std::string out;
  for (const auto step : read.graph->order) out += read.decl.steps[step].name + " ";
  return out;
}

std::string names(const Read& read, const std::vector<std::size_t>& tensors) {
  std::string out;
  for (const auto tensor : tensors) out += read.graph->tensors[tensor].name + " ";
  return out;
}

TEST(Graph, AChainNeedsNoNames) {
  const auto chain = read("steps:\n- scale: 1\n- model: x>p\n- argmax:\n");
  ASSERT_TRUE(chain.graph) << chain.problems;
  EXPECT_EQ(steps_in_order(chain), "scale x>p argmax ");
  EXPECT_EQ(names(chain, chain.graph->inputs), "x ");
  EXPECT_EQ(names(chain, chain.graph->outputs), "argmax ");
  EXPECT_EQ(names(chain, chain.graph->steps[1].inputs), "scale ");
  EXPECT_EQ(names(chain, chain.graph->steps[2].inputs), "p ");
  EXPECT_EQ(chain.graph->scratches, 2U);
}

TEST(Graph, StepsRunAfterWhatTheyReadFromWhateverTheyAreWrittenAs) {
  const auto graph = read(
      "inputs: [a]\nsteps:\n"
      "- {name: last, concat: , inputs: [one, two]}\n"
      "- {name: two, scale: 1, inputs: one}\n"
      "- {name: one, scale: 1, inputs: a}\n"
      "outputs: [last]\n");
  ASSERT_TRUE(graph.graph) << graph.problems;
  EXPECT_EQ(steps_in_order(graph), "one two last ");
}

TEST(Graph, InputsOfTheSameNamesAsTheOutputsBeforeAreTakenFromThem) {
  const auto graph = read("steps:\n- model: text>ids-mask-types\n- model: mask-ids>p\n");
  ASSERT_TRUE(graph.graph) << graph.problems;
  EXPECT_EQ(names(graph, graph.graph->steps[1].inputs), "mask ids ");
}

TEST(Graph, MemoryIsUsedAgainOnceItHasBeenRead) {
  // `one` is read by the last step, so that its memory is kept; two and three take turns.
  const auto graph = read(
      "inputs: [a]\nsteps:\n"
      "- {name: one, scale: 1}\n- {name: two, scale: 1}\n- {name: three, scale: 1}\n"
      "- {name: four, scale: 1}\n- {name: last, concat: , inputs: [one, four]}\n");
  ASSERT_TRUE(graph.graph) << graph.problems;
  std::vector<std::size_t> scratch;
  for (const auto& step : graph.graph->steps) scratch.push_back(step.scratch);
  EXPECT_EQ(scratch, (std::vector<std::size_t>{0, 1, 2, 1, Graph::kNone}));
  EXPECT_EQ(graph.graph->scratches, 3U);
}

// No step's memory is one that somebody still reads from, in any graph of this shape.
TEST(Graph, NoMemoryIsUsedWhileItIsRead) {
  for (int seed = 0; seed < 200; ++seed) {
    std::string text = "inputs: [s0]\nsteps:\n";
    unsigned random = static_cast<unsigned>(seed) * 2654435761U + 1;
    const auto next = [&](unsigned below) {
      random = random * 1664525U + 1013904223U;
      return (random >> 16) % below;
    };
    std::string all = "s0";
    for (unsigned i = 1; i < 12; ++i) {
      text += "- {name: s" + std::to_string(i) + ", concat: , inputs: [s" +
              std::to_string(next(i)) + ", s" + std::to_string(i - 1) + "]}\n";
    }
    const auto made = read(text);
    ASSERT_TRUE(made.graph) << made.problems;
    const auto& graph = *made.graph;
    std::map<std::size_t, std::size_t> holds;  // scratch memory → the step whose outputs it has
    for (const auto step : graph.order) {
      for (const auto tensor : graph.steps[step].inputs) {
        const auto maker = graph.tensors[tensor].maker;
        if (maker == Graph::kNone) continue;
        EXPECT_EQ(holds[graph.steps[maker].scratch], maker) << text;
        EXPECT_NE(graph.steps[maker].scratch, graph.steps[step].scratch) << text;
      }
      holds[graph.steps[step].scratch] = step;
    }
  }
}

struct Wrong {
  const char* text;
  const char* problems;
};

class WrongGraph : public testing::TestWithParam<Wrong> {};

TEST_P(WrongGraph, IsToldInTheseWords) {
  EXPECT_EQ(read(GetParam().text).problems, GetParam().problems);
}

constexpr Wrong kWritten[] = {
    {"[]", "p:1:1: expected a mapping with `steps`, found a list"},
    {"inputs: [a]", "p:1:1: a pipeline needs steps"},
    {"steps: []", "p:1:1: a pipeline needs steps"},
    {"steps: {a: b}", "p:1:8: expected a list of steps, found a mapping"},
    {"step: []", "p:1:1: unknown key 'step'; did you mean 'steps'?"},
    {"steps:\n- argmx: 1", "p:2:3: unknown key 'argmx'; did you mean 'argmax'?"},
    {"steps:\n- {name: a}", "p:2:3: a step must say what it is: model, argmax, concat and scale"},
    {"steps:\n- {argmax: , model: x>y}",
     "p:2:14: a step is one thing; this one is both argmax and model"},
    {"steps:\n- {argmax: , engine: onnx}", "p:2:3: only a step with `model` has an engine"},
    {"steps:\n- {argmax: , argmax: }", "p:2:14: key 'argmax' is given twice"},
    {"steps:\n- argmax:\nsteps: []", "p:3:1: key 'steps' is given twice"},
    {"steps:\n- argmax:\n- argmax:",
     "p:3:3: there are two steps 'argmax'; give one of them another name"},
    {"inputs: [{nam: a}]\nsteps: [argmax: ]", "p:1:11: unknown key 'nam'; did you mean 'name'?"},
    {"inputs: [{type: FP32}]\nsteps: [argmax: ]", "p:1:10: an input needs a name"},
    {"inputs: [\"a\\nb\"]\nsteps: [argmax: ]",
     "p:1:10: the name has characters that cannot be shown"},
    {"inputs: [{name: a, type: FP33}]\nsteps: [argmax: ]",
     "p:1:26: 'FP33' is no type such as FP32, INT64 or BYTES"},
    {"inputs: [{name: a, shape: [-1, 0]}]\nsteps: [argmax: ]",
     "p:1:27: a dimension is a number of at least 1, or -1 for any"},
    {"inputs: [{name: a, shape: []}]\nsteps: [argmax: ]",
     "p:1:27: a shape has 1 to 16 dimensions, such as [-1, 30]"},
    {"inputs: [{name: a, shape: [-1, 3], columns: [b, c]}]\nsteps: [argmax: ]",
     "p:1:10: input 'a' has names for 2 columns, but its shape is [N,3]"},
    {"steps: [argmax: ]\noutputs: {a: b}", "p:2:10: expected a list of tensors, found a mapping"},
};
INSTANTIATE_TEST_SUITE_P(Written, WrongGraph, testing::ValuesIn(kWritten));

constexpr Wrong kWired[] = {
    {"inputs: [a]\nsteps:\n- {argmax: , inputs: b}",
     "p:3:3: step 'argmax' reads 'b', which is no input and is made by no step"},
    {"inputs: [features]\nsteps:\n- {argmax: , inputs: featurs}",
     "p:3:3: step 'argmax' reads 'featurs', which is no input and is made by no step; did you "
     "mean 'features'?"},
    {"steps:\n- {name: a, scale: 1, outputs: t}\n- {name: b, scale: 1, outputs: t}",
     "p:3:3: 't' is made twice: by step 'a' and by step 'b'; give one of them another name under "
     "outputs"},
    {"inputs: [a]\nsteps:\n- {name: a, scale: 1, inputs: a}",
     "p:1:10: input 'a' has the name of what step 'a' makes"},
    {"inputs: [a, a]\nsteps:\n- {scale: 1, inputs: a}", "p:1:13: input 'a' is declared twice"},
    {"inputs: [i]\nsteps:\n- {name: a, concat: , inputs: [i, b]}\n- {name: b, scale: 1, inputs: a}",
     "p:3:3: the steps go round in a circle, so that none can be first: 'a' → 'b' → 'a'"},
    {"inputs: [i]\nsteps:\n- {name: a, scale: 1, inputs: i}\n- {name: b, concat: , inputs: [a, "
     "d]}\n"
     "- {name: c, scale: 1, inputs: b}\n- {name: d, scale: 1, inputs: c}",
     "p:4:3: the steps go round in a circle, so that none can be first: 'b' → 'c' → 'd' → 'b'"},
    {"steps:\n- {name: a, scale: 1, inputs: a}",
     "p:2:3: the steps go round in a circle, so that none can be first: 'a' → 'a'"},
    {"inputs: [i]\nsteps:\n- {name: a, scale: 1}\n- {name: b, scale: 1, inputs: i}",
     "p:3:3: nobody reads what step 'a' makes; remove the step, list its output under outputs, or "
     "look for a name that is misspelt"},
    {"inputs: [i, j]\nsteps:\n- {name: a, scale: 1, inputs: i}",
     "p:1:13: no step reads the input 'j'"},
    {"steps:\n- {name: a, scale: 1, outputs: [s, t]}",
     "p:2:33: step 'a' has the outputs 'y', but 2 are listed"},
    {"steps:\n- {name: a, model: i-j>k, inputs: [i]}",
     "p:2:36: step 'a' has the inputs 'i' and 'j', but 1 is listed"},
    {"steps:\n- {name: a, model: i-j>k, inputs: {i: t}}",
     "p:2:3: step 'a' needs an input for 'j'; it "
     "reads 'i' and 'j'"},
    {"steps:\n- {name: a, model: i>probabilities, outputs: {probabilites: p}}",
     "p:2:47: step 'a' has no 'probabilites' among its outputs; did you mean 'probabilities'?; "
     "they are 'probabilities'"},
    {"steps:\n- {name: a, model: i>label-p}\n- argmax:",
     "p:3:3: step 'argmax' must say what it reads as 'x': the step before it makes 'label' and "
     "'p'; write inputs: {x: …}"},
    {"inputs: [i, j]\nsteps:\n- {name: a, scale: 1}",
     "p:3:3: step 'a' must say what it reads as 'x': the pipeline's inputs are 'i' and 'j'; write "
     "inputs: {x: …}"},
    {"steps:\n- {name: a, scale: 1}\noutputs: [b]",
     "p:3:11: the pipeline's output is 'b', which is no input and is made by no step"},
    {"inputs: [i]\nsteps:\n- {name: a, scale: 1}\noutputs: [a, i]",
     "p:4:14: the pipeline's output 'i' is its own input; list what a step makes"},
    {"steps:\n- {name: a, scale: 1}\noutputs: [a, a]", "p:3:14: output 'a' is listed twice"},
};
INSTANTIATE_TEST_SUITE_P(Wired, WrongGraph, testing::ValuesIn(kWired));

TEST(Graph, EveryMistakeIsTold) {
  EXPECT_EQ(read("inputs: [i]\nsteps:\n- {name: a, scale: 1, inputs: p}\n"
                 "- {name: b, scale: 1, inputs: q}\noutputs: [r]")
                .problems,
            "p:3:3: step 'a' reads 'p', which is no input and is made by no step\n"
            "p:4:3: step 'b' reads 'q', which is no input and is made by no step\n"
            "p:5:11: the pipeline's output is 'r', which is no input and is made by no step");
}

TEST(Graph, TooManyStepsAreRefused) {
  std::string text = "steps:\n";
  for (int i = 0; i < 257; ++i) text += "- {name: s" + std::to_string(i) + ", scale: 1}\n";
  EXPECT_EQ(read(text).problems, "p:2:1: a pipeline has at most 256 steps");
}

}  // namespace
}  // namespace sluice::engines
