// Graphs stay in order, keep their weights wherever they lie, and are run as they say.
#include "tools/compress/onnx_graph.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using small::Builder;
using small::Folder;

TEST(OnnxGraph, SettlesNodesBehindWhatTheyTakeAndDropsWhatNobodyTakes) {
  Folder folder;
  Builder model;
  model.input("x", {-1, 4});
  model.weight("unused", {4, 4}, 1);
  model.gemm("x", "a", 4, 4, 2);
  model.node("Relu", {"a"}, "y");
  model.output("y", {-1, 4});
  auto graph = OnnxGraph::open(model.save(folder.path()));
  ASSERT_TRUE(graph) << graph.error().message;
  // A node at the end whose answer the first of the last two takes.
  graph->add_node("Neg", "negate", {"a"}, {"n"});
  graph->maker("y")->set_input(0, "n");
  ASSERT_TRUE(graph->settle());
  ASSERT_EQ(graph->graph().node_size(), 3);
  EXPECT_EQ(graph->graph().node(1).op_type(), "Neg");
  EXPECT_EQ(graph->graph().node(2).op_type(), "Relu");
  EXPECT_EQ(graph->constant("unused"), nullptr);
  EXPECT_EQ(graph->takers("a").size(), 1U);
  graph->maker("n")->set_input(0, "y");
  const auto circle = graph->settle();
  ASSERT_FALSE(circle);
  EXPECT_EQ(circle.error().code, Code::kInternal);
}

TEST(OnnxGraph, WeightsInAnotherFileAreReadAndWritten) {
  Folder folder;
  Builder model;
  model.input("x", {-1, 8});
  model.gemm("x", "y", 8, 2, 3);
  model.output("y", {-1, 2});
  const auto plain = model.save(folder.path());
  const auto wanted = small::answers(plain, {5, 8});
  auto graph = OnnxGraph::open(plain);
  ASSERT_TRUE(graph);
  const auto values = graph->floats(*graph->constant("y_w"));
  ASSERT_TRUE(values);
  // Moved aside by hand: its bytes behind four others.
  auto raw = *graph->bytes(*graph->constant("y_w"));
  std::ofstream(folder.path() / "weights.bin", std::ios::binary) << "1234" << raw;
  auto& tensor = *graph->constant("y_w");
  tensor.clear_raw_data();
  tensor.set_data_location(onnx::TensorProto::EXTERNAL);
  for (const auto& [key, value] :
       {std::pair("location", "weights.bin"), std::pair("offset", "4")}) {
    auto& entry = *tensor.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  }
  EXPECT_EQ(*graph->floats(tensor), *values);
  const auto out = folder.path() / "out/model.onnx";
  ASSERT_TRUE(graph->save(out));
  EXPECT_TRUE(std::filesystem::exists(out.native() + ".data"));
  EXPECT_EQ(small::answers(out, {5, 8}), wanted);
  auto again = OnnxGraph::open(out);
  ASSERT_TRUE(again);
  EXPECT_EQ(*again->floats(*again->constant("y_w")), *values);
  std::filesystem::resize_file(out.native() + ".data", 8);
  EXPECT_FALSE(again->floats(*again->constant("y_w")));
}

TEST(OnnxGraph, OldModelsThatListTheirWeightsAsInputsAreReadAsNewOnes) {
  Folder folder;
  Builder model;
  model.model().set_ir_version(3);
  model.input("x", {-1, 4});
  model.gemm("x", "y", 4, 4, 5);
  model.input("y_w", {4, 4});
  model.output("y", {-1, 4});
  auto graph = OnnxGraph::open(model.save(folder.path()));
  ASSERT_TRUE(graph);
  EXPECT_NE(graph->constant("y_w"), nullptr);
  EXPECT_EQ(graph->graph().input_size(), 1);
  EXPECT_EQ(graph->model().ir_version(), 4);
}

// The engine gives outputs memory of its own, which ONNX Runtime leaves alone there.
TEST(OnnxGraph, AnOutputThatIsAnInputIsAnswered) {
  Folder folder;
  Builder model;
  model.input("x", {-1, 3});
  model.node("Relu", {"x"}, "y");
  model.output("x", {-1, 3});
  model.output("y", {-1, 3});
  std::vector<float> rows(30);
  std::iota(rows.begin(), rows.end(), 1.0F);
  EXPECT_EQ(small::answers(model.save(folder.path()), {10, 3}, rows), rows);
}

}  // namespace
}  // namespace sluice::tools::compress
