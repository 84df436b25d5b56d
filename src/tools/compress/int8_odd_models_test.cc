// The int8 methods on models that are not what they hope for: made right, or refused in words.
#include <set>

#include "tools/compress/testing/int8_models.h"

namespace sluice::tools::compress {
namespace {

namespace fs = std::filesystem;

using Int8OddModels = CompressTest;

// A graph of an If's that adds 1 to, or takes, `value` of the graph around it.
void add_branch(onnx::NodeProto& node, const std::string& name, const std::string& value) {
  auto& branch = *node.add_attribute();
  branch.set_name(name);
  branch.set_type(onnx::AttributeProto::GRAPH);
  auto& graph = *branch.mutable_g();
  graph.set_name(name);
  auto& product = *graph.add_node();
  product.set_op_type("MatMul");
  product.add_input(value);
  product.add_input("shared");
  product.add_output(name + "_out");
  auto& output = *graph.add_output();
  output.set_name(name + "_out");
  output.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
}

TEST_F(Int8OddModels, ControlFlowIsLeftAloneAndSaid) {
  SmallModel model;
  model.input("x", {-1, 40}).output("y");
  model.random("w", {40, 40}, 1).random("shared", {40, 40}, 2).integers("two", {2});
  model.integers("first", {0});
  model.node("MatMul", {"x", "w"}, "h");
  model.node("MatMul", {"h", "shared"}, "outside");
  model.node("Shape", {"x"}, "shape");
  model.node("Gather", {"shape", "first"}, "rows");
  model.node("Greater", {"rows", "two"}, "many");
  auto& choice = model.node("If", {"many"}, "inside");
  add_branch(choice, "then_branch", "h");
  add_branch(choice, "else_branch", "outside");
  model.node("Add", {"outside", "inside"}, "y");
  const auto from = model.write(file("m.onnx"));
  const auto x = normal(std::size_t{50} * 40, 3);
  const auto all = view_of(x, {50, 40});
  Dataset rows;
  rows.add({&all, 1}, 50);
  for (const auto* method : {"dynamic-int8", "static-int8"}) {
    const auto made = make(method, from, {}, &rows);
    ASSERT_TRUE(made) << method << ": " << made.error().message;
    EXPECT_TRUE(std::ranges::any_of(made->notes, [](const std::string& note) {
      return note.find("1 If node (control flow) is left alone") != std::string::npos;
    })) << method;
    for (const std::int64_t count : {1, 2, 3, 16}) {
      auto view = all;
      view.shape[0] = count;
      view.data = all.data.subspan(0, static_cast<std::size_t>(count) * 40 * sizeof(float));
      EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.05)
          << method << ' ' << count;
    }
  }
}

// As voice activity detectors are written, with a network for each rate of samples.
TEST_F(Int8OddModels, WhereAllIsControlFlowItIsSaid) {
  SmallModel model;
  model.input("x", {-1, 40}).output("y").random("shared", {40, 40}, 2).integers("two", {2});
  model.integers("first", {0});
  model.node("Shape", {"x"}, "shape");
  model.node("Gather", {"shape", "first"}, "rows");
  model.node("Greater", {"rows", "two"}, "many");
  auto& choice = model.node("If", {"many"}, "y");
  add_branch(choice, "then_branch", "x");
  add_branch(choice, "else_branch", "x");
  const auto from = model.write(file("m.onnx"));
  const auto x = normal(std::size_t{5} * 40, 3);
  const auto view = view_of(x, {5, 40});
  Dataset rows;
  rows.add({&view, 1}, 5);
  for (const auto* method : {"dynamic-int8", "static-int8"}) {
    const auto made = make(method, from, {}, &rows);
    ASSERT_FALSE(made) << method;
    EXPECT_EQ(made.error().reason, "not_compressible") << method;
    EXPECT_NE(made.error().message.find("1 If node (control flow) is left alone"),
              std::string::npos)
        << made.error().message;
  }
}

TEST_F(Int8OddModels, WeightsInOtherFilesAndHalves) {
  SmallModel model;
  model.input("x", {-1, 40}).output("y").random("w", {40, 40}, 1).random("w2", {40, 40}, 2);
  model.node("MatMul", {"x", "w"}, "h");
  model.node("MatMul", {"h", "w2"}, "y");
  auto& tensor = *model.proto().mutable_graph()->mutable_initializer(0);
  std::ofstream(file("w.bin"), std::ios::binary) << tensor.raw_data();
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  auto& location = *tensor.add_external_data();
  location.set_key("location");
  location.set_value("w.bin");
  const auto from = model.write(file("m.onnx"));
  const auto x = normal(std::size_t{30} * 40, 3);
  const auto view = view_of(x, {30, 40});
  Dataset rows;
  rows.add({&view, 1}, 30);
  for (const auto* method : {"dynamic-int8", "static-int8"}) {
    const auto made = make(method, from, {}, &rows);
    ASSERT_TRUE(made) << method << ": " << made.error().message;
    EXPECT_LT(relative_error(answers(from, view), answers(made->file, view)), 0.05) << method;
  }

  SmallModel half;
  half.input("x", {-1, 40}, onnx::TensorProto::FLOAT16).output("y", onnx::TensorProto::FLOAT16);
  const Dims dims = {40, 40};
  *half.proto().mutable_graph()->add_initializer() =
      tensor_of("w", dims, onnx::TensorProto::FLOAT16, std::string(3200, '\x2a'));
  half.node("MatMul", {"x", "w"}, "y");
  for (const auto* method : {"dynamic-int8", "static-int8"}) {
    const auto made = make(method, half.write(file("half.onnx")), {}, &rows);
    ASSERT_FALSE(made) << method;
    EXPECT_EQ(made.error().reason, "not_compressible") << method;
  }
}

// Of all models of the tests, most of which have nothing to quantise.
TEST_F(Int8OddModels, EveryModelIsMadeOrRefusedInWords) {
  const std::set<std::string_view> known = {"not_compressible", "bad_model", "unsafe_path",
                                            "engine_failed"};
  const float numbers[64] = {};
  int seen = 0;
  for (const auto& entry :
       fs::directory_iterator(std::string(SLUICE_SOURCE_DIR) + "/tests/models")) {
    if (entry.path().extension() != ".onnx") continue;
    ++seen;
    for (const auto* method : {"dynamic-int8", "static-int8"}) {
      Dataset rows;
      if (const auto loaded = TestLab().load(entry.path())) {
        std::vector<TensorView> inputs;
        for (const auto& spec : (*loaded)->signature().inputs) {
          TensorView view;
          std::size_t count = 1;
          for (const auto dim : spec.dims) {
            view.shape.push(dim == -1 ? 1 : dim);
            count *= static_cast<std::size_t>(dim == -1 ? 1 : dim);
          }
          view.dtype = spec.dtype;
          ASSERT_LE(count * size_of(spec.dtype), sizeof numbers) << entry.path();
          view.data = std::as_bytes(std::span(numbers)).first(count * size_of(spec.dtype));
          static const std::vector<std::string_view> kTexts(64, "text");
          if (spec.dtype == DType::kString) view.strings = std::span(kTexts).first(count);
          inputs.push_back(view);
        }
        rows.add(inputs, 1);
      } else {
        const auto view =
            TensorView{DType::kFloat32, {1, 1}, std::as_bytes(std::span(numbers, 1)), {}};
        rows.add({&view, 1}, 1);
      }
      const auto made = make(method, entry.path(), settings({}), &rows);
      if (made) {
        EXPECT_TRUE(TestLab().load(made->file)) << entry.path();
      } else {
        EXPECT_TRUE(known.contains(made.error().reason))
            << entry.path() << ' ' << made.error().reason << ": " << made.error().message;
      }
    }
  }
  EXPECT_GT(seen, 30);
}

}  // namespace
}  // namespace sluice::tools::compress
