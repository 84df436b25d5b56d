// fp16: what is kept in half precision, what stays FP32, and that answers stay what they were.

#include <cmath>

#include "base/half.h"
#include "tools/compress/half_tensor.h"
#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;

OnnxGraph opened(const std::filesystem::path& file) { return std::move(*OnnxGraph::open(file)); }

int count_of(const OnnxGraph& graph, std::string_view op) {
  int out = 0;
  for (const auto& node : graph.graph().node()) out += node.op_type() == op ? 1 : 0;
  return out;
}

bool says(const Made& made, std::string_view what) {
  return std::ranges::any_of(made.notes, [&](const auto& note) { return note.contains(what); });
}

// Differences as a share of the largest number: a half has eleven bits, and sums cancel.
void expect_near(std::vector<float> got, std::vector<float> wanted, float tolerance) {
  float largest = 0;
  for (const float value : wanted) largest = std::max(largest, std::abs(value));
  for (auto& value : wanted) value /= largest;
  for (auto& value : got) value /= largest;
  expect_close(got, wanted, tolerance);
}

// Two convolutions and a layer, with a normalisation between.
void fill_cnn(Builder& model) {
  model.input("x", {-1, 3, 8, 8});
  model.conv("x", "c1", 3, 16, 1);
  for (const auto* name : {"scale", "shift", "mean"}) model.weight(name, {16}, 5);
  model.weight("variance", {16}, std::vector<float>(16, 1e-6F));
  model.node("BatchNormalization", {"c1", "scale", "shift", "mean", "variance"}, "n1");
  model.node("Relu", {"n1"}, "r1");
  model.conv("r1", "c2", 16, 8, 2);
  model.node("Relu", {"c2"}, "r2");
  model.node("Flatten", {"r2"}, "f");
  model.gemm("f", "y", 512, 10, 3);
  model.output("y", {-1, 10});
}

TEST(HalfTensor, CountsWhatIsBeyondAndWhatBecomesZero) {
  const float values[] = {1, 65504, 65519, 65520, -1e9F, 0x1p-24F, 0x1p-25F, -1e-12F, 0, INFINITY};
  const auto kept = to_half(values, false);
  EXPECT_EQ(kept.beyond, 2);
  EXPECT_EQ(kept.lost, 2);
  std::uint16_t halves[10];
  std::memcpy(halves, kept.raw.data(), sizeof halves);
  EXPECT_EQ(halves[2], 0x7BFF);
  EXPECT_EQ(halves[3], 0x7C00);
  EXPECT_EQ(halves[7], 0x8000);
  const auto clipped = to_half(values, true);
  std::memcpy(halves, clipped.raw.data(), sizeof halves);
  EXPECT_EQ(clipped.beyond, 2);
  EXPECT_EQ(halves[3], 0x7BFF);
  EXPECT_EQ(halves[4], 0xFBFF);
  EXPECT_EQ(halves[9], 0x7C00) << "infinities are not out of range";
}

// The same numbers as NumPy's astype(float16) of the same floats: tests/golden/half.py computes
// this sum, over 2^22 floats of all exponents without NaN.
TEST(HalfTensor, RoundsAsNumPyDoes) {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < (1U << 22); ++i) {
    const auto value = std::bit_cast<float>(i * 2654435761U);
    if (std::isnan(value)) continue;
    sum += float_to_half(value) * (2 * std::uint64_t{i} + 1);
  }
  EXPECT_EQ(sum, 565307661864884729U);
  sum = 0;
  for (std::uint32_t i = 0; i < (1U << 22); ++i) {  // where halves lie, subnormal ones too
    const auto value = std::bit_cast<float>(0x32000000U + i * 86U);
    sum += float_to_half(value) * (2 * std::uint64_t{i} + 1);
  }
  EXPECT_EQ(sum, 306066076765755938U);
  sum = 0;
  for (std::uint32_t i = 0; i < 0x10000; ++i) {
    const float value = half_to_float(static_cast<std::uint16_t>(i));
    if (std::isnan(value)) continue;
    sum += std::uint64_t{std::bit_cast<std::uint32_t>(value)} * (2 * std::uint64_t{i} + 1);
  }
  EXPECT_EQ(sum, 11099527900376858624U);
}

TEST(Fp16, WeightsTakeHalfTheBytesAndAnswerTheSame) {
  const Folder folder;
  Builder model;
  fill_cnn(model);
  const auto from = model.save(folder.path());
  const auto made = make("fp16", from, folder);
  ASSERT_TRUE(made) << made.error().message;
  const auto graph = opened(made->file);
  EXPECT_EQ(count_of(graph, "Cast"), 3) << "small tensors are not worth one";
  for (const auto* name : {"c1_w_fp16", "c2_w_fp16", "y_w_fp16"}) {
    ASSERT_TRUE(graph.constant(name)) << name;
    EXPECT_EQ(graph.constant(name)->data_type(), onnx::TensorProto::FLOAT16);
  }
  EXPECT_LT(std::filesystem::file_size(made->file), std::filesystem::file_size(from) * 0.56);
  expect_near(answers(made->file, {5, 3, 8, 8}), answers(from, {5, 3, 8, 8}), 2e-3F);
  EXPECT_TRUE(says(*made, "speed after loading stay what they were"));
}

TEST(Fp16, WeightsAnswerExactlyAsRoundedOnesDo) {
  const Folder folder;
  Builder model;
  fill_cnn(model);
  const auto from = model.save(folder.path());
  const auto made = make("fp16", from, folder);
  ASSERT_TRUE(made);
  const auto halves = answers(made->file, {4, 3, 8, 8});
  for (auto& tensor : *model.graph().mutable_initializer()) {
    if (!tensor.name().ends_with("_w")) continue;
    auto& raw = *tensor.mutable_raw_data();
    for (std::size_t at = 0; at < raw.size(); at += sizeof(float)) {
      float value;
      std::memcpy(&value, raw.data() + at, sizeof value);
      value = half_to_float(float_to_half(value));
      std::memcpy(raw.data() + at, &value, sizeof value);
    }
  }
  EXPECT_EQ(halves, answers(model.save(folder.path()), {4, 3, 8, 8}));
}

TEST(Fp16, GraphKeepsItsSignatureAndItsNormalisations) {
  const Folder folder;
  Builder model;
  fill_cnn(model);
  const auto from = model.save(folder.path());
  const auto made = make("fp16", from, folder, {{"mode", "graph"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->details["nodes_in_fp16"], 6);
  const auto graph = opened(made->file);
  EXPECT_EQ(graph.constant("variance")->data_type(), onnx::TensorProto::FLOAT);
  EXPECT_EQ(graph.constant("c1_b")->data_type(), onnx::TensorProto::FLOAT16);
  EXPECT_EQ(count_of(graph, "Cast"), 4) << "in, out, and around BatchNormalization";
  EXPECT_TRUE(says(*made, "1 BatchNormalization"));
  const auto loaded = TestLab().load(made->file);
  ASSERT_TRUE(loaded);
  EXPECT_EQ((*loaded)->signature().inputs[0].dtype, DType::kFloat32);
  EXPECT_EQ((*loaded)->signature().outputs[0].dtype, DType::kFloat32);
  expect_near(answers(made->file, {5, 3, 8, 8}), answers(from, {5, 3, 8, 8}), 1e-2F);
}

TEST(Fp16, GraphCanTakeAndGiveHalves) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 32});
  model.gemm("x", "h", 32, 64, 1);
  model.node("Relu", {"h"}, "r");
  model.gemm("r", "y", 64, 4, 2);
  model.output("y", {-1, 4});
  model.output("r", {-1, 64});
  model.node("ReduceSum", {"x"}, "sum");  // stays FP32, and takes the input
  model.output("sum", {1, 1});
  const auto made =
      make("fp16", model.save(folder.path()), folder, {{"mode", "graph"}, {"keep_io", "false"}});
  ASSERT_TRUE(made) << made.error().message;
  const auto loaded = TestLab().load(made->file);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto& signature = (*loaded)->signature();
  EXPECT_EQ(signature.inputs[0].dtype, DType::kFloat16);
  EXPECT_EQ(signature.outputs[0].dtype, DType::kFloat16);
  EXPECT_EQ(signature.outputs[1].dtype, DType::kFloat16);
  EXPECT_EQ(signature.outputs[2].dtype, DType::kFloat32);
}

TEST(Fp16, WhatIsOutOfRangeOrTooSmallStays) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 32});
  auto large = random_floats(32 * 32, 1);
  large[7] = 70'000;
  model.weight("large", {32, 32}, large);
  model.weight("tiny", {32, 32}, 2, 1e-7F);
  model.weight("good", {32, 32}, 3);
  model.node("MatMul", {"x", "large"}, "a");
  model.node("MatMul", {"a", "tiny"}, "b");
  model.node("MatMul", {"b", "good"}, "y");
  model.output("y", {-1, 32});
  const auto from = model.save(folder.path());
  for (const auto* mode : {"weights", "graph"}) {
    const auto made = make("fp16", from, folder, {{"mode", mode}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->details["tensors"], 1);
    EXPECT_TRUE(says(*made, "'large' stays FP32: numbers beyond"));
    EXPECT_TRUE(says(*made, "'tiny' stays FP32: the numbers are too small"));
    expect_close(answers(made->file, {3, 32}), answers(from, {3, 32}), 1e-2F);
  }
  const auto clipped = make("fp16", from, folder, {{"clip", "true"}});
  ASSERT_TRUE(clipped);
  EXPECT_EQ(clipped->details["tensors"], 2);
  EXPECT_TRUE(says(*clipped, "1 weights were clipped"));
}

// What an If takes from outside keeps its name and its type; what is inside is left alone.
TEST(Fp16, GraphsInsideNodesAreLeftAlone) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 32});
  model.weight("w", {32, 32}, 1);
  model.node("MatMul", {"x", "w"}, "h");
  model.node("ReduceMax", {"h"}, "most");
  set_attribute(*model.graph().mutable_node(1), "keepdims", std::int64_t{0});
  model.weight("zero", {}, std::vector<float>{0});
  model.node("Greater", {"most", "zero"}, "yes");
  auto& choice = model.node("If", {"yes"}, "y");
  for (const auto* branch : {"then_branch", "else_branch"}) {
    auto& attribute = *choice.add_attribute();
    attribute.set_name(branch);
    attribute.set_type(onnx::AttributeProto::GRAPH);
    auto& inner = *attribute.mutable_g();
    inner.set_name(branch);
    auto& node = *inner.add_node();
    node.set_op_type("MatMul");
    node.add_input("h");
    node.add_input("w");
    node.add_output(branch);
    add_value(*inner.mutable_output(), branch, {-1, 32});
  }
  model.output("y", {-1, 32});
  const auto from = model.save(folder.path());
  for (const auto* mode : {"weights", "graph"}) {
    const auto made = make("fp16", from, folder, {{"mode", mode}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE(says(*made, "1 graph inside If"));
    expect_close(answers(made->file, {3, 32}), answers(from, {3, 32}), 5e-2F);
  }
}

TEST(Fp16, SaysWhyAModelIsNotForIt) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 4});
  model.gemm("x", "y", 4, 2, 1);
  model.output("y", {-1, 2});
  auto made = make("fp16", model.save(folder.path()), folder);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason, "not_compressible");
  model.model().mutable_opset_import(0)->set_version(6);
  made = make("fp16", model.save(folder.path()), folder);
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().message.contains("version_converter")) << made.error().message;
  made = make("fp16", folder.path() / "model.onnx", folder, {{"mode", "all"}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason, "bad_settings");
}

TEST(Fp16, StopsAndLeavesNothing) {
  const Folder folder;
  Builder model;
  fill_cnn(model);
  const auto made = make("fp16", model.save(folder.path()), folder, {}, true);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Code::kCancelled);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "out"));
}

}  // namespace
}  // namespace sluice::tools::compress
