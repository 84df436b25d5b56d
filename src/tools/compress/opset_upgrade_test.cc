// A model of an older version of the operators answers as before when it is of a later one.
#include "tools/compress/opset_upgrade.h"

#include <gtest/gtest.h>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using small::Builder;
using small::Folder;
using Dims = std::vector<std::int64_t>;

class Old : public ::testing::Test {
 protected:
  void SetUp() override {
    model_.model().mutable_opset_import(0)->set_version(9);
    model_.input("x", {-1, 4, 3, 5});
  }

  void integers(onnx::NodeProto& node, std::string_view name, const Dims& values) {
    set_attribute(node, name, std::span<const std::int64_t>(values));
  }

  // Upgraded, it answers the same; what was done is told.
  void same_as_before(const std::string& told, std::int64_t wanted = 13) {
    model_.output("y", {});
    model_.graph().mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
    const auto before = model_.save(folder_.path());
    const auto answers = small::answers(before, kRows);
    ASSERT_FALSE(answers.empty());
    auto graph = OnnxGraph::open(before);
    ASSERT_TRUE(graph) << graph.error().message;
    std::vector<std::string> notes;
    const auto raised = raise_opset(*graph, wanted, "a test needs", notes);
    ASSERT_TRUE(raised) << raised.error().message;
    EXPECT_EQ(graph->opset(), wanted);
    ASSERT_EQ(notes.size(), 1U);
    EXPECT_TRUE(notes[0].contains(told)) << notes[0];
    const auto after = folder_.path() / "out/model.onnx";
    ASSERT_TRUE(graph->save(after));
    EXPECT_EQ(small::answers(after, kRows), answers);
  }

  static inline const Dims kRows = {2, 4, 3, 5};
  Folder folder_;
  Builder model_;
};

TEST_F(Old, ClipHasItsBoundsAsInputs) {
  auto& node = model_.node("Clip", {"x"}, "y");
  set_attribute(node, "min", -0.25F);
  set_attribute(node, "max", 0.5F);
  same_as_before("Clip");
}

TEST_F(Old, ClipMayHaveAnUpperBoundAlone) {
  set_attribute(model_.node("Clip", {"x"}, "y"), "max", 0.5F);
  same_as_before("Clip");
}

TEST_F(Old, SliceAndPadHaveTheirPlacesAsInputs) {
  auto& slice = model_.node("Slice", {"x"}, "s");
  integers(slice, "starts", {1, 0});
  integers(slice, "ends", {3, 2});
  integers(slice, "axes", {1, 3});
  auto& pad = model_.node("Pad", {"s"}, "y");
  integers(pad, "pads", {0, 1, 0, 0, 0, 0, 2, 1});
  set_attribute(pad, "value", 7.0F);
  same_as_before("Pad and Slice");
}

TEST_F(Old, AxesAndPartsAreInputs) {
  integers(model_.node("Unsqueeze", {"x"}, "u"), "axes", {1});
  integers(model_.node("Squeeze", {"u"}, "q"), "axes", {1});
  auto& split = model_.node("Split", {"q"}, "a");
  split.add_output("b");
  set_attribute(split, "axis", std::int64_t{1});
  integers(split, "split", {1, 3});
  integers(model_.node("ReduceSum", {"b"}, "y"), "axes", {2});
  same_as_before("ReduceSum, Split, Squeeze and Unsqueeze");
}

TEST_F(Old, SoftmaxWasOverAllThatFollowsItsAxis) {
  set_attribute(model_.node("Softmax", {"x"}, "y"), "axis", std::int64_t{2});
  same_as_before("Softmax");
}

TEST_F(Old, SoftmaxOverTheLastAxisIsTheSame) {
  set_attribute(model_.node("LogSoftmax", {"x"}, "y"), "axis", std::int64_t{-1});
  same_as_before("LogSoftmax");
}

TEST_F(Old, DropoutDoesNothing) {
  set_attribute(model_.node("Dropout", {"x"}, "y"), "ratio", 0.9F);
  same_as_before("Dropout");
}

TEST_F(Old, NothingIsWrittenOtherwiseBeforeItChanged) {
  integers(model_.node("Squeeze", {"x"}, "y"), "axes", {});
  same_as_before("no operator of it changed", 11);
}

TEST_F(Old, WhatIsNotKnownIsRefusedWithTheWay) {
  model_.node("NonZero", {"x"}, "y");
  model_.output("y", {4, -1});
  auto graph = OnnxGraph::open(model_.save(folder_.path()));
  ASSERT_TRUE(graph);
  std::vector<std::string> notes;
  const auto raised = raise_opset(*graph, 13, "a test needs", notes);
  ASSERT_FALSE(raised);
  EXPECT_EQ(raised.error().reason, "not_compressible");
  EXPECT_TRUE(raised.error().message.contains("NonZero changed in between"))
      << raised.error().message;
  EXPECT_TRUE(raised.error().message.contains("convert_version")) << raised.error().message;
}

}  // namespace
}  // namespace sluice::tools::compress
