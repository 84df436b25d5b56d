// static-int8: what it makes answers as its original does and runs on ONNX Runtime's 8-bit kernels.
#include "engines/onnx_optimize.h"
#include "tools/compress/testing/int8_models.h"

namespace sluice::tools::compress {
namespace {

class StaticInt8 : public CompressTest {
 protected:
  // Calibrates with `rows` rows of normal numbers and answers how far other such rows are off.
  double error_of(const std::filesystem::path& from, const Dims& row, const Node& given = {}) {
    const auto made = calibrated(from, row, given);
    EXPECT_TRUE(made) << made.error().message;
    if (!made) return INFINITY;
    made_ = *made;
    const auto x = numbers(16, row, 6);
    const auto view = view_of(x, dims(16, row));
    return relative_error(answers(from, view), answers(made->file, view));
  }

  Result<Made> calibrated(const std::filesystem::path& from, const Dims& row,
                          const Node& given = {}) {
    Dataset rows;
    const auto x = numbers(100, row, 5);
    const auto view = view_of(x, dims(100, row));
    rows.add({&view, 1}, 100);
    return make("static-int8", from, given, &rows);
  }

  // The operators that ONNX Runtime runs in place of what was made.
  std::map<std::string, int> kernels() {
    EXPECT_TRUE(engines::save_optimized(made_.file, file("fused.onnx"), true));
    return operators(file("fused.onnx"));
  }

  std::string notes() const {
    std::string out;
    for (const auto& note : made_.notes) out += note + "\n";
    return out;
  }

  static Dims dims(std::int64_t rows, const Dims& row) {
    Dims out = {rows};
    out.insert(out.end(), row.begin(), row.end());
    return out;
  }

  static std::vector<float> numbers(std::size_t rows, const Dims& row, unsigned seed) {
    for (const auto dim : row) rows *= static_cast<std::size_t>(dim);
    return normal(rows, seed);
  }

  Made made_;
};

// Two Convs with a Relu and a Clip, a residual Add, pooling and a Gemm.
SmallModel small_net() {
  SmallModel out;
  out.input("x", {-1, 4, 8, 8}).output("y");
  out.random("w1", {8, 4, 3, 3}, 1, 0.2F).random("b1", {8}, 2, 0.3F);
  out.random("w2", {8, 8, 3, 3}, 3, 0.2F).weight("zero", {}, {0}).weight("six", {}, {6});
  out.random("w3", {10, 8}, 4, 0.3F).random("b3", {10}, 5);
  const Dims ones = {1, 1, 1, 1};
  set_attribute(out.node("Conv", {"x", "w1", "b1"}, "c1"), "pads", ones);
  out.node("Relu", {"c1"}, "r1");
  set_attribute(out.node("Conv", {"r1", "w2"}, "c2"), "pads", ones);
  out.node("Clip", {"c2", "zero", "six"}, "r2");
  out.node("Add", {"r1", "r2"}, "sum");
  out.node("GlobalAveragePool", {"sum"}, "mean");
  out.node("Flatten", {"mean"}, "flat");
  set_attribute(out.node("Gemm", {"flat", "w3", "b3"}, "y"), "transB", std::int64_t{1});
  return out;
}

TEST_F(StaticInt8, NetRunsOnKernelsOfEightBits) {
  const auto from = small_net().write(file("m.onnx"));
  EXPECT_LT(error_of(from, {4, 8, 8}), 0.03);
  const auto ops = kernels();
  EXPECT_EQ(ops.at("QLinearConv"), 2);
  EXPECT_EQ(ops.at("QLinearAdd"), 1);
  EXPECT_EQ(ops.at("QLinearGlobalAveragePool"), 1);
  EXPECT_EQ(ops.at("QGemm"), 1);
  EXPECT_EQ(ops.at("QuantizeLinear"), 1) << "x, and then nothing is a float until y";
  for (const auto* gone : {"Conv", "Relu", "Clip", "DequantizeLinear"}) {
    EXPECT_FALSE(ops.contains(gone)) << gone;
  }
}

TEST_F(StaticInt8, EveryWayToCalibrate) {
  const auto from = small_net().write(file("m.onnx"));
  EXPECT_LT(error_of(from, {4, 8, 8}, settings({{"calibration", "min-max"}})), 0.03);
  const auto all = made_.details["ranges"]["x"];
  EXPECT_EQ(all["low"], all["least"]);
  EXPECT_EQ(all["high"], all["most"]);
  EXPECT_LT(error_of(from, {4, 8, 8}, settings({{"calibration", "entropy"}})), 0.06);
  EXPECT_LT(error_of(from, {4, 8, 8}, settings({{"percentile", "99"}})), 0.1);
  const auto some = made_.details["ranges"]["x"];
  EXPECT_GT(some["low"], some["least"]);
  EXPECT_LT(some["high"], some["most"]);
  EXPECT_FALSE(calibrated(from, {4, 8, 8}, settings({{"calibration", "guess"}})));
}

TEST_F(StaticInt8, EveryFormOfConv) {
  struct Form {
    const char* name;
    Dims row;
    Dims weights;
    std::int64_t group;
    const char* pad;
    bool bias;
  };
  for (const Form& form : {Form{"grouped", {8, 9, 9}, {8, 4, 3, 3}, 2, nullptr, true},
                           Form{"depthwise", {8, 9, 9}, {8, 1, 3, 3}, 8, nullptr, false},
                           Form{"one dimension", {6, 20}, {12, 6, 5}, 1, nullptr, true},
                           Form{"same upper", {3, 9, 9}, {5, 3, 4, 4}, 1, "SAME_UPPER", true},
                           Form{"volume", {2, 5, 5, 5}, {4, 2, 3, 3, 3}, 1, nullptr, false},
                           Form{"one channel", {3, 6, 6}, {1, 3, 3, 3}, 1, nullptr, true}}) {
    for (const auto* per_channel : {"true", "false"}) {
      SmallModel model;
      model.input("x", dims(-1, form.row)).output("y");
      model.random("w", form.weights, 1).random("b", {form.weights[0]}, 2);
      auto& node = model.node(
          "Conv",
          form.bias ? std::vector<std::string>{"x", "w", "b"} : std::vector<std::string>{"x", "w"},
          "y");
      set_attribute(node, "group", form.group);
      if (form.pad != nullptr) {
        auto& pad = *node.add_attribute();
        pad.set_name("auto_pad");
        pad.set_type(onnx::AttributeProto::STRING);
        pad.set_s(form.pad);
      }
      EXPECT_LT(
          error_of(model.write(file("m.onnx")), form.row, settings({{"per_channel", per_channel}})),
          0.03)
          << form.name << ' ' << per_channel;
      EXPECT_EQ(kernels()["QLinearConv"], 1) << form.name;
    }
  }
}

TEST_F(StaticInt8, EveryFormOfGemm) {
  for (const std::int64_t transposed : {0, 1}) {
    for (const Dims& bias : {Dims{}, Dims{1}, Dims{20}, Dims{1, 20}}) {
      SmallModel model;
      model.input("x", {-1, 30}).output("y");
      model.random("w", transposed != 0 ? Dims{20, 30} : Dims{30, 20}, 1).random("c", bias, 2);
      auto& node = model.node("Gemm", {"x", "w", "c"}, "y");
      set_attribute(node, "transB", transposed);
      set_attribute(node, "alpha", 0.25F);
      set_attribute(node, "beta", 3.0F);
      EXPECT_LT(error_of(model.write(file("m.onnx")), {30}), 0.03);
      EXPECT_EQ(kernels()["QGemm"], 1);
    }
  }
}

TEST_F(StaticInt8, ProductsOfStacksAndWhatMovesNumbers) {
  SmallModel model;
  model.input("x", {-1, 3, 4, 32}).output("y");
  model.random("w1", {32, 24}, 1).random("w2", {24, 24}, 2).random("stack", {3, 24, 24}, 3);
  model.integers("shape", {-1, 3, 4, 24});
  model.node("MatMul", {"x", "w1"}, "a");
  model.node("Reshape", {"a", "shape"}, "b");
  model.node("MatMul", {"b", "w2"}, "c");
  model.node("MatMul", {"b", "stack"}, "d");
  model.node("Add", {"c", "d"}, "y");
  EXPECT_LT(error_of(model.write(file("m.onnx")), {3, 4, 32}), 0.04);
  EXPECT_EQ(operators(made_.file).at("Add"), 1);
  EXPECT_FALSE(kernels().contains("MatMul"));
}

TEST_F(StaticInt8, SharedValuesAndOutputsInTheMiddle) {
  SmallModel model;
  model.input("x", {-1, 4, 6, 6}).output("y").output("r");
  model.random("w", {4, 4, 1, 1}, 1);
  model.node("Conv", {"x", "w"}, "c");
  model.node("Relu", {"c"}, "r");
  model.node("Conv", {"r", "w"}, "d");  // the same weights
  model.node("Sigmoid", {"r"}, "s");    // takes it as floats
  model.node("Mul", {"d", "s"}, "y");
  EXPECT_LT(error_of(model.write(file("m.onnx")), {4, 6, 6}), 0.03);
  const auto loaded = TestLab().load(made_.file);
  ASSERT_TRUE(loaded);
  EXPECT_EQ((*loaded)->signature().outputs[1].name, "r");
  EXPECT_EQ(kernels()["QLinearConv"], 2);
}

// Weights of which one number is a thousand times the others lose the others.
TEST_F(StaticInt8, SensitiveNodesStay) {
  SmallModel model;
  model.input("x", {-1, 64}).output("y");
  auto wild = normal(std::size_t{64} * 64, 1, 0.01F);
  for (std::size_t i = 0; i < wild.size(); i += 64) wild[i] = i % 128 == 0 ? 900 : -900;
  model.weight("wild", {64, 64}, wild).random("w", {64, 64}, 2);
  model.weight("mask", {64}, [] {
    std::vector<float> out(64, 1);
    out[0] = 0;
    return out;
  }());
  model.node("Mul", {"x", "mask"}, "m");
  set_attribute(model.node("Gemm", {"m", "wild"}, "h"), "transB", std::int64_t{1});
  model.node("Sigmoid", {"h"}, "s");
  set_attribute(model.node("Gemm", {"s", "w"}, "y"), "transB", std::int64_t{1});
  EXPECT_LT(error_of(model.write(file("m.onnx")), {64}), 0.03);
  EXPECT_NE(notes().find("1 Gemm node stays in FP32: its error"), std::string::npos) << notes();
  EXPECT_EQ(kernels()["QGemm"], 1);
  ASSERT_EQ(made_.details["layers"].size(), 2U);
  EXPECT_GT(made_.details["layers"][0]["error"], 0.1);
  EXPECT_TRUE(made_.details["layers"][0]["skipped"]);
  EXPECT_LT(made_.details["layers"][1]["error"], 0.05);
  const auto none = calibrated(file("m.onnx"), {64}, settings({{"max_node_error", "0"}}));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "not_compressible");
}

TEST_F(StaticInt8, ChannelsOfZerosAndConstantActivations) {
  SmallModel model;
  model.input("x", {-1, 16}).output("y");
  auto weights = normal(std::size_t{16} * 16, 1);
  std::fill(weights.begin(), weights.begin() + 32, 0.0F);  // two columns of h are their bias
  model.random("b", {16}, 2).weight("w", {16, 16}, weights).random("w2", {16, 4}, 3);
  model.weight("nothing", {}, {0}).weight("gone", {16, 4}, std::vector<float>(64));
  set_attribute(model.node("Gemm", {"x", "w", "b"}, "h"), "transB", std::int64_t{1});
  model.node("Mul", {"x", "nothing"}, "zeros");
  model.node("MatMul", {"h", "w2"}, "p");
  model.node("MatMul", {"zeros", "w2"}, "q");
  model.node("MatMul", {"x", "gone"}, "g");
  model.node("Sum", {"p", "q", "g"}, "y");
  EXPECT_LT(error_of(model.write(file("m.onnx")), {16}, settings({{"optimize", "false"}})), 0.03);
  EXPECT_NE(notes().find("are the same for all calibration rows"), std::string::npos) << notes();
}

TEST_F(StaticInt8, NanInACalibrationRowIsNamed) {
  SmallModel model;
  model.input("x", {-1, 4}).output("y").random("w", {4, 4}, 1);
  model.node("MatMul", {"x", "w"}, "y");
  const auto from = model.write(file("m.onnx"));
  auto x = normal(40, 1);
  x[18] = NAN;  // row 5
  Dataset rows;
  const auto view = view_of(x, {10, 4});
  rows.add({&view, 1}, 10);
  const auto made = make("static-int8", from, {}, &rows);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason, "not_compressible");
  EXPECT_NE(made.error().message.find("value 'x' of the model is NaN for calibration row 5"),
            std::string::npos)
      << made.error().message;
}

TEST_F(StaticInt8, RefusesWhatItCannotDo) {
  const auto from = small_net().write(file("m.onnx"));
  const auto none = make("static-int8", from);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason, "no_calibration");
  const auto made = calibrated(from, {4, 8, 8});
  ASSERT_TRUE(made);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(made->file.parent_path()), {}), 1)
      << "only the model is left in its folder";
  const auto again = calibrated(made->file, {4, 8, 8});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("quantised already"), std::string::npos);
  SmallModel plain;
  plain.input("x", {-1, 4}).output("y").node("Relu", {"x"}, "y");
  const auto nothing = calibrated(plain.write(file("plain.onnx")), {4});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().reason, "not_compressible");
  stop_ = true;
  const auto stopped = calibrated(from, {4, 8, 8});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
}

}  // namespace
}  // namespace sluice::tools::compress
