// What is particular to one engine: answers of the training library, classes, scanning.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "engines/builtin.h"
#include "engines/onnx_scan.h"

namespace sluice::engines {
namespace {

using nlohmann::json;

const std::string kModels = std::string(SLUICE_SOURCE_DIR) + "/tests/models/";

std::string bytes_of(const std::string& name) {
  std::ifstream file(kModels + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::unique_ptr<Model> load(const std::string& name) {
  Registry<Engine> registry;
  register_builtin(registry);
  auto directory = open_directory(kModels);
  ModelFile file;
  file.name = name;
  file.contents = *FileBytes::copy(*open_beneath(*directory, name), "the model file");
  file.directory = std::make_shared<const Fd>(std::move(*directory));
  for (const auto& [unused, engine] : registry.items()) {
    if (engine->accepts(file)) return std::move(*engine->load(file, {}));
  }
  return nullptr;
}

TEST(Xgboost, AnswersAsTheTrainingLibraryDoes) {
  std::ifstream file(kModels + "xgb_golden.jsonl");
  std::string line;
  int rows = 0;
  while (std::getline(file, line)) {
    const auto golden = json::parse(line);
    const auto model = load(golden["file"]);
    std::vector<float> features;
    for (const auto& value : golden["features"]) {
      features.push_back(value.is_null() ? std::numeric_limits<float>::quiet_NaN()
                                         : value.get<float>());
    }
    Arena arena;
    TensorView input;
    input.shape = {1, static_cast<std::int64_t>(features.size())};
    input.data = std::as_bytes(std::span(features));
    TensorView output;
    ASSERT_TRUE(model->run({&input, 1}, {&output, 1}, arena));
    ASSERT_EQ(output.elements(), golden["output"].size()) << line;
    for (std::size_t i = 0; i < output.elements(); ++i) {
      EXPECT_NEAR(number_at(output, i), golden["output"][i].get<double>(), 1e-5) << line;
    }
    ++rows;
  }
  EXPECT_GE(rows, 20);
}

TEST(Onnx, ClassesAreInTheModelsOrderNotTheMaps) {
  const auto model = load("classes_order_strings.onnx");
  EXPECT_EQ(model->signature().classes, (std::vector<std::string>{"zebra", "apple", "mango"}));
  EXPECT_TRUE(model->signature().classes_are_names);
  const float row[] = {3, 1, 2};
  TensorView input;
  input.shape = {1, 3};
  input.data = std::as_bytes(std::span(row));
  std::vector<TensorView> outputs(2);
  Arena arena;
  ASSERT_TRUE(model->run({&input, 1}, outputs, arena));
  EXPECT_EQ(outputs[0].strings[0], "zebra");
  EXPECT_NEAR(number_at(outputs[1], 0), 0.66524, 1e-5);
  EXPECT_NEAR(number_at(outputs[1], 1), 0.09003, 1e-5);
  EXPECT_NEAR(number_at(outputs[1], 2), 0.24473, 1e-5);
  EXPECT_EQ(load("classes_order_ints.onnx")->signature().classes,
            (std::vector<std::string>{"7", "2", "5"}));
  EXPECT_FALSE(load("no_zipmap.onnx")->signature().classes_are_names);
}

TEST(OnnxScan, FindsEveryFileThatAModelNames) {
  const auto files = [](const std::string& name) {
    return scan_onnx(bytes_of(name))->external_files;
  };
  EXPECT_EQ(files("external_outside.onnx"), std::set<std::string>{"../secret.bin"});
  EXPECT_EQ(files("external_subgraph.onnx"), std::set<std::string>{"../x.bin"});
  EXPECT_EQ(files("external_constant.onnx"), std::set<std::string>{"../x.bin"});
  EXPECT_EQ(files("external_ok.onnx"), std::set<std::string>{"external_ok.bin"});
  EXPECT_TRUE(files("two_inputs.onnx").empty());
}

TEST(OnnxScan, ReadsRolesAndParameters) {
  const auto facts = scan_onnx(bytes_of("softmax_only.onnx"));
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->outputs.at("out").role, Role::kProbabilities);
  EXPECT_EQ(scan_onnx(bytes_of("binary_sigmoid.onnx"))->outputs.at("p").role, Role::kProbabilities);
  EXPECT_GT(scan_onnx(bytes_of("logits_only.onnx"))->parameters, 0U);
}

TEST(OnnxScan, EveryPrefixAndEveryFlippedByteEndsWell) {
  const auto good = bytes_of("external_subgraph.onnx");
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    (void)scan_onnx(std::string_view(good).substr(0, cut));
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0xFF);
    (void)scan_onnx(bad);
  }
  // A graph in a graph in a graph …: field 1 (node), attribute (5) with a graph (6).
  std::string nested;
  for (int i = 0; i < 100; ++i) {
    const auto wrap = [](char tag, const std::string& inner) {
      std::string out(1, tag);
      std::size_t size = inner.size();
      while (size >= 128) {
        out += static_cast<char>(size % 128 + 128);
        size /= 128;
      }
      return out + static_cast<char>(size) + inner;
    };
    nested = wrap('\x0A', wrap('\x2A', wrap('\x32', nested)));
  }
  std::string model = "\x3A";
  std::size_t size = nested.size();
  while (size >= 128) {
    model += static_cast<char>(size % 128 + 128);
    size /= 128;
  }
  const auto deep = scan_onnx(model + static_cast<char>(size) + nested);
  ASSERT_FALSE(deep);
  EXPECT_NE(deep.error().message.find("too deeply"), std::string::npos);
}

}  // namespace
}  // namespace sluice::engines
