// What a layer's inputs are, and which weight is multiplied by which of them.

#include "tools/compress/input_scales.h"

#include <cmath>
#include <numeric>

#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;

// As multiples of the first: the sum of all stays what it was.
std::vector<float> relative(std::vector<float> scores) {
  const float first = scores.at(0);
  for (auto& score : scores) score /= first;
  return scores;
}

// Scores of a layer's weights after one batch of these rows.
std::vector<float> scores(Builder& model, std::string_view node, const std::vector<float>& values,
                          const std::vector<std::int64_t>& dims) {
  const Folder folder;
  auto graph = std::move(*OnnxGraph::open(model.save(folder.path())));
  Dataset rows;
  TensorView view;
  for (const auto dim : dims) view.shape.push(dim);
  view.data = std::as_bytes(std::span(values));
  rows.add({&view, 1}, static_cast<std::size_t>(dims[0]));
  const TestLab lab;
  const std::atomic<bool> stop = false;
  const ::sluice::Node none;
  const Task task{folder.path(), folder.path() / "out",          none, &rows, lab,
                  stop,          [](std::string_view, double) {}};
  auto layers = prunable_layers(graph, {});
  const auto measured = measure_inputs(graph, task, layers);
  EXPECT_TRUE(measured) << measured.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(folder.path() / "out"));
  for (const auto& layer : layers) {
    if (layer.node == node) return *weight_scores(graph, layer);
  }
  ADD_FAILURE() << "no layer " << node;
  return {};
}

TEST(InputScales, EachWeightIsWeighedByItsOwnInput) {
  Builder model;
  model.input("x", {-1, 2});
  model.weight("w", {2, 3}, {1, -2, 3, 4, 5, -6});
  model.weight("v", {1, 3}, {1, 1, 1});
  model.node("MatMul", {"x", "w"}, "h");
  set_attribute(model.node("Gemm", {"h", "v"}, "y"), "transB", std::int64_t{1});
  model.output("y", {-1, 1});
  const std::vector<float> rows = {3, 0, 4, 0.5F};  // roots of mean squares: √12.5, √0.125
  const float a = std::sqrt(12.5F);
  const float b = std::sqrt(0.125F);
  const auto found = scores(model, "make_h", rows, {2, 2});
  expect_close(relative(found), relative({a, 2 * a, 3 * a, 4 * b, 5 * b, 6 * b}), 1e-6F);
  EXPECT_NEAR(std::accumulate(found.begin(), found.end(), 0.0F), 21, 1e-4);
  // h is [3,-6,9] and [6,-5.5,9].
  expect_close(relative(scores(model, "make_y", rows, {2, 2})),
               relative({std::sqrt(22.5F), std::sqrt(33.125F), 9}), 1e-6F);
}

TEST(InputScales, GroupsOfAConvolutionHaveTheirOwnChannels) {
  Builder model;
  model.input("x", {-1, 4, 1, 2});
  model.weight("w", {2, 2, 1, 1}, {1, 1, 1, -1});
  set_attribute(model.node("Conv", {"x", "w"}, "y"), "group", std::int64_t{2});
  model.output("y", {-1, 2, 1, 2});
  expect_close(relative(scores(model, "make_y", {1, 1, 2, 2, 3, 3, 0, 4}, {1, 4, 1, 2})),
               {1, 2, 3, std::sqrt(8.0F)}, 1e-6F);
}

// As behind a layer of few and large outputs: its weights are no better than the other's.
TEST(InputScales, ALayerOfSmallInputsKeepsItsShare) {
  Builder model;
  model.input("x", {-1, 2});
  model.weight("w", {2, 2}, {1, -2, 3, 4});
  model.node("MatMul", {"x", "w"}, "y");
  model.output("y", {-1, 2});
  expect_close(scores(model, "make_y", {1e-3F, 1e-3F}, {1, 2}), {1, 2, 3, 4}, 1e-6F);
  expect_close(scores(model, "make_y", {0, 0}, {1, 2}), {0, 0, 0, 0}, 0);
}

TEST(InputScales, WithoutFiniteInputsWeightsStandForThemselves) {
  Builder model;
  model.input("x", {-1, 2});
  model.weight("w", {2, 2}, {1, -2, 3, 4});
  model.node("MatMul", {"x", "w"}, "y");
  model.output("y", {-1, 2});
  EXPECT_EQ(scores(model, "make_y", {1, NAN}, {1, 2}), (std::vector<float>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace sluice::tools::compress
