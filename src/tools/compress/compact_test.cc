#include "tools/compress/compact.h"

#include <gtest/gtest.h>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using small::Builder;
using small::Folder;
using Dims = std::vector<std::int64_t>;

class Compact : public ::testing::Test {
 protected:
  void SetUp() override {
    model_.input("the input", {-1, 2});
    for (const auto* name : {"a constant with a long name", "an equal constant", "another"}) {
      const Dims dims = {2};
      const std::vector<float> values =
          name == std::string("another") ? std::vector<float>{3, 4} : std::vector<float>{1, 2};
      *model_.graph().add_initializer() = tensor_of(name, dims, std::span<const float>(values));
    }
    model_.node("Add", {"the input", "a constant with a long name"}, "the first sum");
    model_.node("Mul", {"the first sum", "an equal constant"}, "a product").set_name("the product");
    model_.node("Add", {"a product", "another"}, "the output");
    model_.output("the output", {-1, 2});
  }

  OnnxGraph opened(const std::filesystem::path& file) {
    auto out = OnnxGraph::open(file);
    EXPECT_TRUE(out) << out.error().message;
    return *std::move(out);
  }
  std::filesystem::path saved(const OnnxGraph& graph) {
    const auto file = folder_.path() / "out/model.onnx";
    EXPECT_TRUE(graph.save(file));
    return file;
  }

  Folder folder_;
  Builder model_;
};

TEST_F(Compact, AnswersAsBeforeInFewerBytes) {
  const auto before = model_.save(folder_.path());
  auto graph = opened(before);
  ASSERT_TRUE(compact(graph));
  const auto after = saved(graph);
  EXPECT_EQ(small::answers(after, {3, 2}), small::answers(before, {3, 2}));
  EXPECT_LT(std::filesystem::file_size(after), std::filesystem::file_size(before) - 60);
}

TEST_F(Compact, EqualConstantsAreOneAndNamesInsideAreShort) {
  auto graph = opened(model_.save(folder_.path()));
  ASSERT_TRUE(compact(graph));
  const auto& made = graph.graph();
  EXPECT_EQ(made.initializer_size(), 2);
  EXPECT_EQ(made.node(0).input(1), made.node(1).input(1));
  EXPECT_NE(made.node(0).input(1), made.node(2).input(1)) << "other numbers";
  EXPECT_LE(made.node(0).output(0).size(), 4U);
  EXPECT_EQ(made.node(0).input(0), "the input");
  EXPECT_EQ(made.node(2).output(0), "the output");
  EXPECT_EQ(made.node(1).name(), "the product") << "by which people know it";
}

// What short names are called may be there already.
TEST_F(Compact, NamesStayApart) {
  model_.graph().mutable_node(0)->set_output(0, "v2");
  model_.graph().mutable_node(1)->set_input(0, "v2");
  model_.graph().mutable_node(1)->set_output(0, "v1");
  model_.graph().mutable_node(2)->set_input(0, "v1");
  const auto before = model_.save(folder_.path());
  auto graph = opened(before);
  ASSERT_TRUE(compact(graph));
  EXPECT_EQ(small::answers(saved(graph), {3, 2}), small::answers(before, {3, 2}));
}

TEST_F(Compact, WithControlFlowAllNamesStay) {
  model_.graph().mutable_node(1)->add_attribute()->mutable_g()->set_name("a graph inside");
  auto graph = opened(model_.save(folder_.path()));
  ASSERT_TRUE(compact(graph));
  EXPECT_EQ(graph.graph().node(0).output(0), "the first sum");
}

}  // namespace
}  // namespace sluice::tools::compress
