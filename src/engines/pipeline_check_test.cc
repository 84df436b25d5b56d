// What is told of a pipeline whose models nobody loads.

#include "engines/pipeline_check.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/yaml.h"

namespace sluice::engines {
namespace {

struct Row {
  const char* text;
  const char* problems;
};

class PipelineCheck : public testing::TestWithParam<Row> {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "checkXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    std::ofstream(path_ / "m.onnx") << "not looked into";
    std::ofstream(path_ / "s.csv") << "mean,scale\n1,0\n";
    directory_ = std::make_shared<const Fd>(std::move(*open_directory(path_)));
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  std::filesystem::path path_;
  std::shared_ptr<const Fd> directory_;
};

TEST_P(PipelineCheck, SaysThis) {
  Problems problems;
  const auto root = config::parse_yaml(GetParam().text, problems);
  check_pipeline(*root, directory_, problems);
  std::string told;
  for (const auto& problem : problems) {
    told += (told.empty() ? "" : "\n") + config::show_problem("p", problem);
  }
  EXPECT_EQ(told, GetParam().problems);
}

constexpr Row kRows[] = {
    // Nothing that only a model's file tells is a mistake.
    {"steps:\n- {model: m.onnx}\n- argmax:", ""},
    {"steps:\n- {softmax: }\n- {model: m.onnx}\n- {threshold: 0.5, inputs: score}\noutputs: [z, "
     "threshold]",
     ""},
    {"inputs: [a, b]\nsteps:\n- {model: m.onnx}\n- {name: c, concat: , inputs: [p, q]}", ""},
    {"inputs: [a]\nsteps:\n- {model: m.onnx, inputs: {x: a}, outputs: {p: p}}\n- {name: c, concat: "
     ", inputs: [p, a]}",
     ""},
    // Files.
    {"steps:\n- {model: none.onnx}",
     "p:2:3: step 'none': the file 'none.onnx' cannot be opened: there is none of this name; steps "
     "use files that lie in the version's own directory or below it"},
    {"inputs: [x]\nsteps:\n- {name: s, standardise: s.csv}",
     "p:3:3: step 's': the file 's.csv' cannot be used: scale 0 is 0 or no number: it cannot be "
     "divided by"},
    // Options of steps, several at once.
    {"inputs: [x]\nsteps:\n- {threshold: [0.1, 0.2]}\n- {cast: float32}\n- {one_hot: [1, 1]}",
     "p:3:15: step 'threshold': expected a number, found a list\n"
     "p:4:3: step 'cast': cast needs a numeric type, such as cast: FP32; 'float32' is none\n"
     "p:5:3: step 'one_hot': category '1' is listed twice"},
    {"inputs: [x]\nsteps:\n- {one_hot: {categories: [a], unknwon: zeros}}",
     "p:3:31: step 'one_hot': unknown key 'unknwon'; did you mean 'unknown'?"},
    {"inputs: [x]\nsteps:\n- {one_hot: {categories: [a], unknown: ignore}}",
     "p:3:40: step 'one_hot': 'ignore' is not one of the choices: error | zeros"},
    // Wires.
    {"inputs: [x, x]\nsteps:\n- {softmax: , inputs: x}", "p:1:13: input 'x' is declared twice"},
    {"inputs: [x]\nsteps:\n- {model: m.onnx, inputs: x}\n- {name: a, softmax: , inputs: a}",
     "p:4:3: the steps go round in a circle, so that none can be first: 'a' → 'a'"},
    {"inputs: [x]\nsteps:\n- {name: a, concat: , inputs: [x, b]}\n- {name: b, softmax: , inputs: "
     "a}\noutputs: [b, tt]",
     "p:5:14: the pipeline's output is 'tt', which is no input and is made by no step\n"
     "p:3:3: the steps go round in a circle, so that none can be first: 'a' → 'b' → 'a'"},
    {"inputs: [x]\nsteps:\n- {name: a, softmax: }\n- {model: m.onnx, inputs: x}",
     "p:3:3: nobody reads what step 'a' makes; remove the step, list its output under outputs, or "
     "look for a name that is misspelt"},
    {"inputs: [x]\nsteps:\n- {model: m.onnx, inputs: x, outputs: [p]}\n- {softmax: , inputs: q}",
     "p:4:3: step 'softmax' reads 'q', which is no input and is made by no step"},
};
INSTANTIATE_TEST_SUITE_P(Rows, PipelineCheck, testing::ValuesIn(kRows));

}  // namespace
}  // namespace sluice::engines
