// dynamic-int8: what it makes answers as its original does, within what 8 bits allow.
#include "engines/onnx_optimize.h"
#include "tools/compress/quantize.h"
#include "tools/compress/testing/int8_models.h"

namespace sluice::tools::compress {
namespace {

using DynamicInt8 = CompressTest;

std::string all_notes(const Made& made) {
  std::string out;
  for (const auto& note : made.notes) out += note + "\n";
  return out;
}

SmallModel two_layers(std::int64_t width, std::int64_t opset = 13) {
  SmallModel out(opset);
  out.input("x", {-1, width}).output("y");
  out.random("w1", {width, width}, 1, 0.05F).random("b1", {width}, 2, 0.1F);
  out.random("w2", {width, width}, 3, 0.05F).random("b2", {width}, 4, 0.1F);
  set_attribute(out.node("Gemm", {"x", "w1", "b1"}, "h"), "transB", std::int64_t{1});
  out.node("Relu", {"h"}, "r");
  set_attribute(out.node("Gemm", {"r", "w2", "b2"}, "y"), "transB", std::int64_t{1});
  return out;
}

TEST_F(DynamicInt8, AnswersStayAndTheFileIsAQuarter) {
  const auto from = two_layers(1024).write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  const auto before = static_cast<double>(std::filesystem::file_size(from));
  const auto after = static_cast<double>(std::filesystem::file_size(made->file));
  EXPECT_LE(after, 0.27 * before);
  const auto x = normal(std::size_t{8} * 1024, 5);
  const auto view = view_of(x, {8, 1024});
  EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.02);
  ASSERT_EQ(made->details["layers"].size(), 2U);
  EXPECT_GT(made->details["layers"][0]["weight_error"].get<double>(), 0);
}

TEST_F(DynamicInt8, OnnxRuntimeFusesWhatIsMade) {
  const auto from = two_layers(64).write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_TRUE(engines::save_optimized(made->file, file("fused.onnx"), true));
  const auto ops = operators(file("fused.onnx"));
  EXPECT_EQ(ops.at("DynamicQuantizeMatMul"), 2);
  EXPECT_FALSE(ops.contains("MatMulInteger"));
}

TEST_F(DynamicInt8, EveryFormOfAProductIsRight) {
  for (const std::int64_t transposed : {0, 1}) {
    for (const bool per_channel : {false, true}) {
      SmallModel model;
      model.input("x", {-1, 48}).output("y");
      model.random("w", transposed ? Dims{40, 48} : Dims{48, 40}, 1).random("c", {1, 40}, 2);
      auto& node = model.node("Gemm", {"x", "w", "c"}, "y");
      set_attribute(node, "transB", transposed);
      set_attribute(node, "alpha", 0.5F);
      set_attribute(node, "beta", -2.0F);
      const auto from = model.write(file("m.onnx"));
      const auto made =
          make("dynamic-int8", from, settings({{"per_channel", per_channel ? "true" : "false"}}));
      ASSERT_TRUE(made) << made.error().message;
      EXPECT_EQ(operators(made->file).at("MatMulInteger"), 1);
      const auto x = normal(std::size_t{5} * 48, 5);
      const auto view = view_of(x, {5, 48});
      EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.03);
    }
  }
}

TEST_F(DynamicInt8, StackedMatricesBiasFromANodeAndSharedWeights) {
  SmallModel model;
  model.input("x", {-1, 3, 4, 32}).output("y");
  model.random("stack", {3, 32, 32}, 1).random("shared", {32, 32}, 2);
  model.node("MatMul", {"x", "stack"}, "a");
  model.node("MatMul", {"a", "shared"}, "b");
  model.node("MatMul", {"x", "shared"}, "c");
  model.node("Add", {"b", "c"}, "y");
  const auto from = model.write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  const auto ops = operators(made->file);
  EXPECT_EQ(ops.at("MatMulInteger"), 3);
  EXPECT_EQ(ops.at("DynamicQuantizeLinear"), 2) << "x is quantised once for both that take it";
  const auto graph = OnnxGraph::open(made->file);
  ASSERT_TRUE(graph);
  EXPECT_EQ(graph->weight_bytes(), 4 * 32 * 32 + 4 * (1 + 32)) << "shared weights stay one";
  const auto x = normal(std::size_t{2} * 3 * 4 * 32, 5);
  const auto view = view_of(x, {2, 3, 4, 32});
  EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.03);
}

TEST_F(DynamicInt8, TablesAreLookedUpAsInt8) {
  SmallModel model;
  model.input("i", {-1, 2}, onnx::TensorProto::INT64).output("y");
  auto table = normal(std::size_t{100} * 16, 1);
  for (std::size_t i = 0; i < 16; ++i) table[i] *= 1000;  // one row that is far larger
  model.weight("table", {100, 16}, table);
  model.node("Gather", {"table", "i"}, "y");
  const auto from = model.write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_LT(std::filesystem::file_size(made->file), 0.5 * std::filesystem::file_size(from));
  const Dims rows = {1, 99, 42, -1};
  const auto view = view_of(rows, {2, 2});
  EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.01);
}

TEST_F(DynamicInt8, ConvIsStoredOnlyWhereThatIsAskedFor) {
  SmallModel model;
  model.input("x", {-1, 8, 6, 6}).output("y");
  model.random("w", {32, 8, 3, 3}, 1);
  model.node("Conv", {"x", "w"}, "y");
  const auto from = model.write(file("m.onnx"));
  const auto refused = make("dynamic-int8", from);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason, "not_compressible");
  EXPECT_NE(refused.error().message.find("static-int8"), std::string::npos);
  const auto made = make("dynamic-int8", from, settings({{"store", "true"}}));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_LT(std::filesystem::file_size(made->file), 0.4 * std::filesystem::file_size(from));
  const auto x = normal(std::size_t{2} * 8 * 36, 5);
  const auto view = view_of(x, {2, 8, 6, 6});
  EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.01);
}

TEST_F(DynamicInt8, WhatCannotBeQuantisedIsLeftAlone) {
  SmallModel model;
  model.input("x", {-1, 40}).output("y");
  auto broken = normal(1600, 1);
  broken[7] = NAN;
  model.weight("broken", {40, 40}, broken).random("w", {40, 40}, 2).random("left", {40, 40}, 3);
  model.node("MatMul", {"x", "broken"}, "a");
  model.node("MatMul", {"x", "w"}, "b");
  model.node("Transpose", {"b"}, "t");
  model.node("MatMul", {"left", "t"}, "u");
  model.node("Transpose", {"u"}, "v");
  model.node("Add", {"a", "v"}, "y");
  const auto from = model.write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(operators(made->file).at("MatMulInteger"), 1);
  EXPECT_EQ(operators(made->file).at("MatMul"), 2);
  EXPECT_NE(all_notes(*made).find("'node_a' was left alone: its weights have NaN"),
            std::string::npos)
      << all_notes(*made);
}

TEST_F(DynamicInt8, QuantisedModelsAreRefused) {
  const auto made = make("dynamic-int8", two_layers(64).write(file("m.onnx")));
  ASSERT_TRUE(made);
  const auto again = make("dynamic-int8", made->file);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason, "not_compressible");
  EXPECT_NE(again.error().message.find("quantised already"), std::string::npos);
}

TEST_F(DynamicInt8, OldOpsetsAreRaised) {
  const auto from = two_layers(64, 9).write(file("m.onnx"));
  const auto made = make("dynamic-int8", from);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_NE(all_notes(*made).find("raised from 9 to 11"), std::string::npos) << all_notes(*made);
  const auto x = normal(std::size_t{3} * 64, 5);
  const auto view = view_of(x, {3, 64});
  EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.03);
}

TEST_F(DynamicInt8, FilesOfIrVersionThreeListTheirWeightsAsInputs) {
  auto model = two_layers(64);
  model.proto().set_ir_version(3);
  for (const auto* name : {"w1", "w2"}) model.input(name, {64, 64});
  for (const auto* name : {"b1", "b2"}) model.input(name, {64});
  const auto made = make("dynamic-int8", model.write(file("m.onnx")));
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->details["layers"].size(), 2U);
  const auto loaded = TestLab().load(made->file);
  ASSERT_TRUE(loaded);
  EXPECT_EQ((*loaded)->signature().inputs.size(), 1U);
}

TEST_F(DynamicInt8, WeightsOfSevenBitsWhereThatIsAskedFor) {
  const auto made = make("dynamic-int8", two_layers(64).write(file("m.onnx")),
                         settings({{"reduce_range", "yes"}}));
  ASSERT_TRUE(made);
  const auto graph = OnnxGraph::open(made->file);
  ASSERT_TRUE(graph);
  const auto* const weights = graph->constant("w1_int8");
  ASSERT_NE(weights, nullptr);
  const auto bytes = graph->bytes(*weights);
  ASSERT_TRUE(bytes);
  int largest = 0;
  for (const char byte : *bytes) {
    largest = std::max(largest, std::abs(static_cast<int>(static_cast<signed char>(byte))));
  }
  EXPECT_EQ(largest, kReducedRange);
  EXPECT_FALSE(make("dynamic-int8", file("m.onnx"), settings({{"reduce_range", "perhaps"}})));
}

TEST_F(DynamicInt8, StopsWhenItIsTold) {
  stop_ = true;
  const auto made = make("dynamic-int8", two_layers(64).write(file("m.onnx")));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace sluice::tools::compress
