#include "app/learn_yaml.h"

#include <gtest/gtest.h>

#include "sources/model_yaml.h"

namespace sluice::app {
namespace {

std::vector<InputColumn> columns() {
  InputColumn age;
  age.name = "age";
  age.bounds = Bounds{0.1, 120};
  age.training = Training{40.5, 12.25, 0.125, {0.1, 40, 120}};
  InputColumn odd;
  odd.name = "on: \"#1\"";  // a word of YAML's, and marks
  odd.bounds = Bounds{-1e300, std::nullopt};
  InputColumn text;
  text.name = "true";
  return {age, odd, text};
}

tools::MergedYaml merged(const std::string& old, bool predictions = true) {
  std::optional<PredictionTraining> training;
  if (predictions) training = PredictionTraining{{0.25, 0.75}, {}};
  auto out = merge_model_yaml(old, columns(), training);
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out ? *out : tools::MergedYaml();
}

ModelConfig read(const std::string& text) {
  auto out = sources::read_model_yaml(text);
  EXPECT_TRUE(out.problems.empty()) << text;
  return out.config;
}

void expect_learned(const ModelConfig& config) {
  ASSERT_EQ(config.inputs.size(), 3U);
  EXPECT_EQ(config.inputs[0].bounds->low, 0.1);
  EXPECT_EQ(config.inputs[0].training->std, 12.25);
  EXPECT_EQ(config.inputs[0].training->quantiles, (std::vector<double>{0.1, 40, 120}));
  EXPECT_EQ(config.inputs[1].name, "on: \"#1\"");
  EXPECT_EQ(config.inputs[1].bounds->low, -1e300);
  EXPECT_FALSE(config.inputs[1].bounds->high);
  EXPECT_EQ(config.inputs[2].name, "true");
  ASSERT_TRUE(config.output.training);
  EXPECT_EQ(config.output.training->classes, (std::vector<double>{0.25, 0.75}));
  EXPECT_TRUE(config.guard);
}

TEST(LearnYaml, ANewFile) {
  const auto out = merged("");
  expect_learned(read(out.text));
  EXPECT_FALSE(out.comments_lost);
  EXPECT_NE(out.text.find("guard: {bounds: reject}\n"), std::string::npos);
}

TEST(LearnYaml, WhatIsThereStaysByteForByte) {
  const std::string before =
      "# Fraud, second try\n\nbatching:   # wide\n  max_batch_size: 64   # rows\n\n";
  const std::string after =
      "\n# What classes are called\nlabels: [  'no', \"yes\" ]\nguard: {bounds: warn}\n# the end\n";
  const auto out =
      merged(before + "inputs:\n- {name: age, bounds: [1, 2]}\n# old\n- name: b\n" + after);
  EXPECT_FALSE(out.comments_lost);
  EXPECT_TRUE(out.text.starts_with(before + "inputs:\n  - name: age\n"));
  EXPECT_NE(out.text.find(after), std::string::npos);
  EXPECT_EQ(out.text.find("# old"), std::string::npos);
  const auto config = read(out.text);
  expect_learned(config);
  EXPECT_EQ(config.guard->bounds, GuardAction::kWarn);
  EXPECT_EQ(config.labels, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(config.batching->max_batch_size, 64);
  // Learning the same again changes nothing.
  EXPECT_EQ(merged(out.text).text, out.text);
}

TEST(LearnYaml, TheOutputKeepsWhatItSaid) {
  for (const std::string old :
       {"output: {prediction: label, activation: none}\n",
        "output:\n  prediction: label\n  activation: none\n  training:\n    classes: [1]\n"}) {
    const auto config = read(merged(old + "threads: 2\n").text);
    expect_learned(config);
    EXPECT_EQ(config.output.prediction, "label");
    EXPECT_EQ(config.output.activation, Activation::kNone);
    EXPECT_EQ(config.threads, 2);
  }
  const auto without = merged("output: {prediction: label}  # as it is\n", false);
  EXPECT_TRUE(without.text.starts_with("output: {prediction: label}  # as it is\n"));
  EXPECT_FALSE(read(without.text).output.training);
}

TEST(LearnYaml, LinesThatCannotBeToldApart) {
  for (const std::string old :
       {"{threads: 2, labels: [a, '1', \"x: y\"]}\n", "threads: 2\nlabels: [a, '1', 'x: y']\n...\n",
        "inputs: &i [{name: age}]\nthreads: 2\nlabels: [a, '1', 'x: y']\n",
        "threads: 2\r\nlabels: [a, '1', 'x: y']",
        "---\nthreads: 2\nlabels:\n- a\n- '1'\n- 'x: y'\n"}) {
    const auto config = read(merged(old).text);
    expect_learned(config);
    EXPECT_EQ(config.threads, 2) << old;
    EXPECT_EQ(config.labels, (std::vector<std::string>{"a", "1", "x: y"})) << old;
  }
  EXPECT_TRUE(merged("{threads: 2}\n").comments_lost);
}

TEST(LearnYaml, AFileWithMistakesIsNotTouched) {
  for (const std::string old : {"threads: many\n", "a: b: c\n", "nonsense: 1\n", "[1, 2]\n"}) {
    const auto out = merge_model_yaml(old, columns(), std::nullopt);
    ASSERT_FALSE(out) << old;
    EXPECT_EQ(out.error().reason, "bad_config");
    EXPECT_NE(out.error().message.find("model.yaml:1:"), std::string::npos) << out.error().message;
  }
}

}  // namespace
}  // namespace sluice::app
