// prune: which weights go, exactly; and that a model without channels answers like the one in which
// nobody listens to them.

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "tools/compress/magnitude.h"
#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {
namespace {

using namespace small;
using nlohmann::json;

OnnxGraph opened(const std::filesystem::path& file) { return std::move(*OnnxGraph::open(file)); }

std::vector<float> weight_of(OnnxGraph& graph, std::string_view name) {
  return *graph.floats(*graph.constant(name));
}

std::size_t zeros_of(const std::vector<float>& values) {
  return static_cast<std::size_t>(std::ranges::count(values, 0.0F));
}

bool says(const Made& made, std::string_view what) {
  return std::ranges::any_of(made.notes, [&](const auto& note) { return note.contains(what); });
}

Threshold threshold_of(const std::vector<float>& values, std::uint64_t wanted) {
  LeastOf least(wanted);
  least.count(values);
  least.refine(values);
  return least.threshold();
}

TEST(Magnitude, TakesExactlyAsManyAsAreWanted) {
  auto values = random_floats(5000, 3);
  values.push_back(NAN);
  values.push_back(-0.0F);
  values.push_back(1e-42F);  // subnormal
  auto sorted = values;
  std::ranges::sort(sorted, {}, [](float x) { return std::isnan(x) ? HUGE_VALF : std::abs(x); });
  for (const std::uint64_t wanted : {0, 1, 2, 1500, 5002, 5003, 9000}) {
    auto threshold = threshold_of(values, wanted);
    std::multiset<float> taken;
    for (const float value : values) {
      if (takes(threshold, value)) taken.insert(std::isnan(value) ? HUGE_VALF : std::abs(value));
    }
    const auto count = std::min<std::size_t>(wanted, values.size());
    ASSERT_EQ(taken.size(), count);
    std::size_t i = 0;
    for (const float value : taken) {
      const float least = std::isnan(sorted[i]) ? HUGE_VALF : std::abs(sorted[i]);
      EXPECT_EQ(value, least);
      ++i;
    }
  }
}

TEST(Magnitude, OfEqualOnesTheFirstGo) {
  auto threshold = threshold_of({2, -1, 1, -1, 1, 3}, 3);
  EXPECT_EQ(threshold.ties, 3);
  std::string taken;
  for (const float value : {2, -1, 1, -1, 1, 3}) taken += takes(threshold, value) ? '1' : '0';
  EXPECT_EQ(taken, "011100");
}

void fill_mlp(Builder& model) {
  model.input("x", {-1, 20});
  model.gemm("x", "a", 20, 50, 1);
  model.node("Relu", {"a"}, "ra");
  model.gemm("ra", "b", 50, 40, 2);
  model.node("Sigmoid", {"b"}, "sb");
  model.gemm("sb", "y", 40, 3, 3);
  model.output("y", {-1, 3});
}

TEST(Prune, GlobalTakesTheLeastOfAllLayersTogether) {
  const Folder folder;
  Builder model;
  fill_mlp(model);
  for (auto& tensor : *model.graph().mutable_initializer()) {
    if (tensor.name() != "b_w") continue;  // ten times as large: nothing of it goes
    tensor = tensor_of("b_w", dims_of(tensor), std::span<const float>(std::vector<float>(2000, 9)));
  }
  const auto made = make("prune", model.save(folder.path()), folder, {{"compact", "false"}});
  ASSERT_TRUE(made) << made.error().message;
  auto graph = opened(made->file);
  EXPECT_EQ(zeros_of(weight_of(graph, "b_w")), 0U);
  EXPECT_EQ(zeros_of(weight_of(graph, "a_w")) + zeros_of(weight_of(graph, "y_w")), 936U)
      << "30 % of 1000 + 2000 + 120";
  EXPECT_EQ(made->details["zeros"], 936);
  EXPECT_EQ(zeros_of(weight_of(graph, "a_b")), 0U) << "biases are no weights";
  EXPECT_TRUE(says(*made, "nothing faster by itself"));
  EXPECT_TRUE(says(*made, "as large as before"));
}

TEST(Prune, TiesAreCountedAcrossLayers) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 10});
  for (const auto& [name, from] : {std::pair("a", "x"), {"b", "a"}, {"y", "b"}}) {
    model.weight(std::string(name) + "_w", {10, 10}, std::vector<float>(100, -0.5F));
    model.node("MatMul", {from, std::string(name) + "_w"}, name);
  }
  model.output("y", {-1, 10});
  const auto made = make("prune", model.save(folder.path()), folder, {{"sparsity", "0.45"}});
  ASSERT_TRUE(made);
  auto graph = opened(made->file);
  EXPECT_EQ(zeros_of(weight_of(graph, "a_w")), 100U);
  EXPECT_EQ(zeros_of(weight_of(graph, "b_w")), 35U);
  EXPECT_EQ(zeros_of(weight_of(graph, "y_w")), 0U);
}

TEST(Prune, LayerTakesTheSameShareOfEach) {
  const Folder folder;
  Builder model;
  fill_mlp(model);
  const auto from = model.save(folder.path());
  const auto made = make("prune", from, folder, {{"scope", "layer"}, {"sparsity", "0.5"}});
  ASSERT_TRUE(made);
  auto graph = opened(made->file);
  EXPECT_GE(zeros_of(weight_of(graph, "a_w")), 500U);
  EXPECT_LE(zeros_of(weight_of(graph, "a_w")), 501U) << "with one that was zero before";
  auto before = opened(from);
  const auto old = weight_of(before, "a_w");
  const auto now = weight_of(graph, "a_w");
  float largest_gone = 0;
  float least_kept = 1;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (now[i] == 0) {
      largest_gone = std::max(largest_gone, std::abs(old[i]));
    } else {
      EXPECT_EQ(now[i], old[i]);
      least_kept = std::min(least_kept, std::abs(old[i]));
    }
  }
  EXPECT_LE(largest_gone, least_kept);
}

TEST(Prune, ManyZerosAreKeptSparseAndAnswerTheSame) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 3, 8, 8});
  model.conv("x", "c", 3, 16, 1);
  model.node("Relu", {"c"}, "r");
  model.node("Flatten", {"r"}, "f");
  model.gemm("f", "g", 1024, 64, 2);
  model.weight("m_w", {64, 10}, 3);
  model.node("MatMul", {"g", "m_w"}, "y");
  model.output("y", {-1, 10});
  const auto from = model.save(folder.path());
  const auto dense =
      make("prune", from, folder, {{"sparsity", "0.9"}, {"compact", "false"}, {"scope", "layer"}});
  ASSERT_TRUE(dense);
  const auto wanted = answers(dense->file, {4, 3, 8, 8});
  const auto size = std::filesystem::file_size(dense->file);
  const auto made = make("prune", from, folder, {{"sparsity", "0.9"}, {"scope", "layer"}});
  ASSERT_TRUE(made);
  const auto graph = opened(made->file);
  EXPECT_EQ(std::ranges::count_if(graph.graph().node(),
                                  [](const auto& node) { return attribute(node, "sparse_value"); }),
            3);
  EXPECT_LT(std::filesystem::file_size(made->file), size * 0.4);
  EXPECT_EQ(answers(made->file, {4, 3, 8, 8}), wanted);
  EXPECT_TRUE(says(*made, "3 weights are kept as sparse tensors"));
}

// Makes the layers behind deaf to the channels that `pruned` lacks, which are told apart by their
// biases: all different.
std::set<std::size_t> lacking(OnnxGraph& before, OnnxGraph& after, std::string_view bias) {
  const auto old = weight_of(before, bias);
  const auto now = weight_of(after, bias);
  std::set<std::size_t> out;
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (std::ranges::find(now, old[i]) == now.end()) out.insert(i);
  }
  EXPECT_EQ(out.size(), old.size() - now.size());
  return out;
}

// Zeroes, along an axis of a tensor, what belongs to these channels.
void deafen(OnnxGraph& graph, std::string_view name, std::size_t axis, std::size_t channels,
            const std::set<std::size_t>& gone) {
  auto& tensor = *graph.constant(name);
  auto values = *graph.floats(tensor);
  const auto dims = dims_of(tensor);
  std::size_t inner = 1;
  for (std::size_t i = axis + 1; i < dims.size(); ++i) inner *= static_cast<std::size_t>(dims[i]);
  const auto length = static_cast<std::size_t>(dims[axis]);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (gone.contains(i / inner % length / (length / channels))) values[i] = 0;
  }
  tensor = tensor_of(tensor.name(), dims, std::span<const float>(values));
}

void expect_as_deaf(const std::filesystem::path& made, OnnxGraph& deaf, const Folder& folder,
                    const std::vector<std::int64_t>& dims) {
  const auto file = folder.path() / "deaf.onnx";
  ASSERT_TRUE(deaf.save(file));
  expect_close(answers(made, dims), answers(file, dims), 1e-5F);
}

TEST(PruneChannels, UnitsGoWithAllThatFollowsThem) {
  const Folder folder;
  Builder model;
  fill_mlp(model);
  const auto from = model.save(folder.path());
  const auto made = make("prune", from, folder, {{"structure", "channels"}, {"scope", "layer"}});
  ASSERT_TRUE(made) << made.error().message;
  auto graph = opened(made->file);
  EXPECT_EQ(dims_of(*graph.constant("a_w")), (std::vector<std::int64_t>{35, 20}));
  EXPECT_EQ(dims_of(*graph.constant("a_b")), (std::vector<std::int64_t>{35}));
  EXPECT_EQ(dims_of(*graph.constant("b_w")), (std::vector<std::int64_t>{28, 35}));
  EXPECT_EQ(dims_of(*graph.constant("y_w")), (std::vector<std::int64_t>{3, 28}));
  EXPECT_TRUE(says(*made, "27 of 90 channels"));
  EXPECT_TRUE(says(*made, "'make_y' keeps its channels: its output is the model's"));
  auto deaf = opened(from);
  deafen(deaf, "b_w", 1, 50, lacking(deaf, graph, "a_b"));
  deafen(deaf, "y_w", 1, 40, lacking(deaf, graph, "b_b"));
  expect_as_deaf(made->file, deaf, folder, {9, 20});
}

TEST(PruneChannels, TheLeastNormsGo) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 4});
  model.weight("w", {4, 5}, {9, 1, 9, -2, 9, 9, 1, 9, 2, 9, 9, 1, 9, -2, 9, 9, 1, 9, 2, 9});
  model.weight("shift", {5}, {0.1F, 0.2F, 0.3F, 0.4F, 0.5F});
  model.weight("v", {5, 2}, 4);
  model.node("MatMul", {"x", "w"}, "h");
  model.node("Add", {"shift", "h"}, "hs");
  model.node("Sigmoid", {"hs"}, "gate");
  model.node("Mul", {"hs", "gate"}, "silu");
  model.node("MatMul", {"silu", "v"}, "y");
  model.output("y", {-1, 2});
  const auto from = model.save(folder.path());
  const auto made = make("prune", from, folder, {{"structure", "channels"}, {"sparsity", "0.4"}});
  ASSERT_TRUE(made) << made.error().message;
  auto graph = opened(made->file);
  auto before = opened(from);
  EXPECT_EQ(lacking(before, graph, "shift"), (std::set<std::size_t>{1, 3}));
  deafen(before, "v", 0, 5, {1, 3});
  expect_as_deaf(made->file, before, folder, {6, 4});
}

TEST(PruneChannels, ConvolutionsShrinkThroughNormsPoolsAndFlatten) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 3, 8, 8});
  model.conv("x", "a", 3, 12, 1);
  for (const auto* name : {"scale", "shift", "mean"}) model.weight(name, {12}, name[1]);
  model.weight("variance", {12}, std::vector<float>(12, 0.5F));
  model.node("BatchNormalization", {"a", "scale", "shift", "mean", "variance"}, "n");
  model.weight("slope", {12, 1, 1}, 9);
  model.node("PRelu", {"n", "slope"}, "p");
  auto& pool = model.node("MaxPool", {"p"}, "mp");
  const std::int64_t two[] = {2, 2};
  set_attribute(pool, "kernel_shape", two);
  set_attribute(pool, "strides", two);
  model.conv("mp", "b", 12, 10, 2);
  model.node("Tanh", {"b"}, "tb");
  model.integers("shape", {-1, 160});
  model.node("Reshape", {"tb", "shape"}, "f");
  add_value(*model.graph().mutable_value_info(), "tb", {-1, 10, 4, 4});
  model.gemm("f", "g", 160, 16, 3);
  model.node("Relu", {"g"}, "rg");
  model.gemm("rg", "y", 16, 5, 4);
  model.output("y", {-1, 5});
  const auto from = model.save(folder.path());
  const auto made = make("prune", from, folder, {{"structure", "channels"}, {"scope", "layer"}});
  ASSERT_TRUE(made) << made.error().message;
  auto graph = opened(made->file);
  EXPECT_EQ(dims_of(*graph.constant("b_w")), (std::vector<std::int64_t>{7, 9, 3, 3}));
  EXPECT_EQ(dims_of(*graph.constant("g_w")), (std::vector<std::int64_t>{12, 112}));
  auto deaf = opened(from);
  deafen(deaf, "b_w", 1, 12, lacking(deaf, graph, "a_b"));
  deafen(deaf, "g_w", 1, 10, lacking(deaf, graph, "b_b"));
  deafen(deaf, "y_w", 1, 16, lacking(deaf, graph, "g_b"));
  expect_as_deaf(made->file, deaf, folder, {5, 3, 8, 8});
}

TEST(PruneChannels, BranchesAndGroupsAreLeftAloneAndSaid) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 4, 6, 6});
  model.conv("x", "a", 4, 8, 1);
  model.conv("x", "b", 4, 8, 2);
  model.node("Add", {"a", "b"}, "sum");
  model.weight("d_w", {8, 1, 3, 3}, 3);
  auto& depth = model.node("Conv", {"sum", "d_w"}, "d");
  set_attribute(depth, "group", std::int64_t{8});
  model.conv("d", "e", 8, 8, 4);
  model.node("Softmax", {"e"}, "soft");
  model.conv("soft", "free", 8, 20, 5);
  model.node("GlobalAveragePool", {"free"}, "pool");
  model.node("Flatten", {"pool"}, "flat");
  model.gemm("flat", "y", 20, 2, 6);
  model.output("y", {-1, 2});
  const auto from = model.save(folder.path());
  const auto made = make("prune", from, folder, {{"structure", "channels"}});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(says(*made, "'make_a' keeps its channels: its output meets another path in Add"));
  EXPECT_TRUE(says(*made, "'make_b' keeps"));
  EXPECT_TRUE(says(*made, "'make_d' keeps its channels: its convolution is in groups"));
  EXPECT_TRUE(says(*made, "'make_e' keeps its channels: it is taken by Softmax"));
  auto graph = opened(made->file);
  EXPECT_EQ(dims_of(*graph.constant("free_w")), (std::vector<std::int64_t>{14, 8, 3, 3}));
  EXPECT_EQ(dims_of(*graph.constant("a_w")), (std::vector<std::int64_t>{8, 4, 3, 3}));
  auto deaf = opened(from);
  deafen(deaf, "y_w", 1, 20, lacking(deaf, graph, "free_b"));
  expect_as_deaf(made->file, deaf, folder, {3, 4, 6, 6});
}

TEST(PruneChannels, OneChannelOfALayerStays) {
  const Folder folder;
  Builder model;
  fill_mlp(model);
  const auto made = make("prune", model.save(folder.path()), folder,
                         {{"structure", "channels"}, {"sparsity", "0.99"}});
  ASSERT_TRUE(made) << made.error().message;
  auto graph = opened(made->file);
  EXPECT_GE(dims_of(*graph.constant("a_w"))[0], 1);
  EXPECT_GE(dims_of(*graph.constant("b_w"))[0], 1);
  EXPECT_EQ(made->details["channels"], 2);
}

TEST(Prune, WorksOnHalvesToo) {
  const Folder folder;
  Builder model;
  fill_mlp(model);
  const auto halves = make("fp16", model.save(folder.path()), folder);
  ASSERT_TRUE(halves);
  const auto from = folder.path() / "halves.onnx";
  std::filesystem::rename(halves->file, from);
  for (const auto* structure : {"unstructured", "channels"}) {
    const auto made = make("prune", from, folder, {{"structure", structure}});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(answers(made->file, {3, 20}).size(), 9U);
    auto graph = opened(made->file);
    EXPECT_EQ(graph.constant("b_w_fp16")->data_type(), onnx::TensorProto::FLOAT16);
  }
}

TEST(Prune, SaysWhyAModelIsNotForIt) {
  const Folder folder;
  Builder model;
  model.input("x", {-1, 4});
  model.node("Relu", {"x"}, "y");
  model.output("y", {-1, 4});
  auto made = make("prune", model.save(folder.path()), folder);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason, "not_compressible");
  Builder one;
  one.input("x", {-1, 4});
  one.gemm("x", "y", 4, 2, 1);
  one.output("y", {-1, 2});
  const auto from = one.save(folder.path());
  made = make("prune", from, folder, {{"structure", "channels"}});
  ASSERT_FALSE(made);
  EXPECT_TRUE(made.error().message.contains("its output is the model's")) << made.error().message;
  EXPECT_EQ(make("prune", from, folder, {{"sparsity", "1.5"}}).error().reason, "bad_settings");
  EXPECT_EQ(make("prune", from, folder, {}, true).error().code, Code::kCancelled);
}

}  // namespace
}  // namespace sluice::tools::compress
