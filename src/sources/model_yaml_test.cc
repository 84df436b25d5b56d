#include "sources/model_yaml.h"

#include <gtest/gtest.h>

#include "config/yaml.h"

namespace sluice::sources {
namespace {

std::vector<std::string> problems_of(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& problem : read_model_yaml(text).problems) {
    out.push_back(config::show_problem("model.yaml", problem));
  }
  return out;
}

TEST(ModelYaml, TheContractsExampleIsValid) {
  const auto yaml = read_model_yaml(R"(
engine: onnx
loading: {ttl: 60m}
versions: {latest: 2}
batching: {max_batch_size: 32, max_wait: 10ms, max_queue: 1000, policy: eager}
instances: auto
threads: 1
warmup: 8
cache: {capacity: 10000, ttl: 5m}
cost: {per_request: 0.001, per_batch: 0.010, storage_per_mb_month: 0.10}
inputs: [{name: age, bounds: [0, 120]}, {name: income, bounds: [0, null]}]
guard: {bounds: reject, anomalies: warn, outputs: {range: [0, 1], action: reject}}
labels: [benign, malignant]
output: {prediction: label, probabilities: probabilities, activation: softmax}
features: {store: default, names: [user_age, user_income], ttl: 60s}
log: {sample: 1.0, features: hashed}
release: {policy: split, weights: {v1: 0.9, v2: 0.1}}
)");
  EXPECT_TRUE(yaml.problems.empty());
  EXPECT_EQ(yaml.config.loading.ttl, Millis(3'600'000));
  EXPECT_EQ(yaml.config.versions.latest, 2);
  EXPECT_EQ(yaml.config.inputs[1].name, "income");
  EXPECT_EQ(yaml.config.inputs[0].bounds->high, 120);
  EXPECT_EQ(yaml.config.inputs[1].bounds->high, std::nullopt);
  EXPECT_EQ(yaml.config.output.activation, Activation::kSoftmax);
  ASSERT_TRUE(yaml.config.features);
  EXPECT_EQ(yaml.config.features->names, (std::vector<std::string>{"user_age", "user_income"}));
}

TEST(ModelYaml, EveryMistakeHasItsLineAndColumn) {
  EXPECT_EQ(problems_of("engin: onnx\nthreads: many\nwarmup: -1\nlabels: [a, b]\nlabels: [c]\n"),
            (std::vector<std::string>{"model.yaml:1:1: unknown key 'engin'; did you mean 'engine'?",
                                      "model.yaml:2:10: 'many' is not an integer",
                                      "model.yaml:3:9: -1 is out of range; expected 0 to 10000",
                                      "model.yaml:5:1: key 'labels' is given twice"}));
}

TEST(ModelYaml, NestedMistakesToo) {
  EXPECT_EQ(problems_of("batching:\n  max_wait: 10\n  polcy: eager\n"),
            (std::vector<std::string>{
                "model.yaml:2:13: '10' is not a duration; write a whole number and a unit, such as "
                "10ms, 60s or 5m",
                "model.yaml:3:3: unknown key 'polcy'; did you mean 'policy'?"}));
  EXPECT_EQ(problems_of("inputs:\n  - {name: a}\n  - {name: a}\n").size(), 1U);
  EXPECT_EQ(problems_of("inputs: [{bounds: [5, 1]}]").size(), 1U);
  EXPECT_EQ(problems_of("versions: {latest: 0}").size(), 1U);
  EXPECT_EQ(problems_of("- a\n- b\n").size(), 1U);
}

TEST(ModelYaml, NotYamlSaysWhere) {
  const auto problems = problems_of("engine: onnx\n  bad: [1, 2\n");
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_NE(problems[0].find("not valid YAML"), std::string::npos);
  EXPECT_TRUE(problems_of("").empty());
  // Aliases cannot make a small file a large one.
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j > 0 ? ", " : "") + last;
    bomb += "]\n";
  }
  EXPECT_FALSE(problems_of(bomb).empty());
}

}  // namespace
}  // namespace sluice::sources
