// ONNX models built in code, of any type and opset, for tests of 8-bit methods.
//
// Thread-safety: one owner each.
#pragma once

#include <gtest/gtest.h>
#include <onnx/onnx.pb.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/method.h"
#include "tools/compress/onnx_graph.h"
#include "tools/compress/testing/small_models.h"

namespace sluice::tools::compress {

using Dims = std::vector<std::int64_t>;

// Numbers of a normal distribution, the same for the same seed.
inline std::vector<float> normal(std::size_t count, unsigned seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::vector<float> out(count);
  for (auto& value : out) {
    // Box and Muller's, as the standard's distribution differs from library to library.
    const double a = (static_cast<double>(random()) + 1) / 4294967297.0;
    const double b = static_cast<double>(random()) / 4294967296.0;
    value = deviation * static_cast<float>(std::sqrt(-2 * std::log(a)) * std::cos(6.283185307 * b));
  }
  return out;
}

class SmallModel {
 public:
  explicit SmallModel(std::int64_t opset = 13, std::int64_t ir = 8) {
    model_.set_ir_version(ir);
    model_.add_opset_import()->set_version(opset);
    model_.mutable_graph()->set_name("small");
  }

  // -1: any number of rows.
  SmallModel& input(std::string_view name, const Dims& dims,
                    std::int32_t type = onnx::TensorProto::FLOAT) {
    fill(*model_.mutable_graph()->add_input(), name, &dims, type);
    return *this;
  }
  SmallModel& output(std::string_view name, std::int32_t type = onnx::TensorProto::FLOAT) {
    fill(*model_.mutable_graph()->add_output(), name, nullptr, type);
    return *this;
  }
  SmallModel& weight(std::string_view name, const Dims& dims, const std::vector<float>& values) {
    *model_.mutable_graph()->add_initializer() =
        tensor_of(name, dims, std::span<const float>(values));
    return *this;
  }
  SmallModel& random(std::string_view name, const Dims& dims, unsigned seed, float deviation = 1) {
    std::size_t count = 1;
    for (const auto dim : dims) count *= static_cast<std::size_t>(dim);
    return weight(name, dims, normal(count, seed, deviation));
  }
  SmallModel& integers(std::string_view name, const Dims& values) {
    const Dims dims = {static_cast<std::int64_t>(values.size())};
    *model_.mutable_graph()->add_initializer() =
        tensor_of(name, dims, std::span<const std::int64_t>(values));
    return *this;
  }
  onnx::NodeProto& node(std::string_view op, const std::vector<std::string>& inputs,
                        std::string_view output) {
    auto& out = *model_.mutable_graph()->add_node();
    out.set_op_type(std::string(op));
    out.set_name("node_" + std::string(output));
    for (const auto& input : inputs) out.add_input(input);
    out.add_output(std::string(output));
    return out;
  }
  onnx::ModelProto& proto() { return model_; }
  std::filesystem::path write(const std::filesystem::path& file) const {
    std::ofstream out(file, std::ios::binary);
    EXPECT_TRUE(model_.SerializeToOstream(&out));
    return file;
  }

 private:
  static void fill(onnx::ValueInfoProto& value, std::string_view name, const Dims* dims,
                   std::int32_t type) {
    value.set_name(std::string(name));
    auto& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(type);
    if (dims == nullptr) return;
    auto& shape = *tensor.mutable_shape();
    for (const auto dim : *dims) {
      if (dim < 0) {
        shape.add_dim()->set_dim_param("N");
      } else {
        shape.add_dim()->set_dim_value(dim);
      }
    }
  }

  onnx::ModelProto model_;
};

using small::TestLab;

inline TensorView view_of(const std::vector<float>& values, const Dims& dims) {
  TensorView out;
  for (const auto dim : dims) out.shape.push(dim);
  out.data = std::as_bytes(std::span(values));
  return out;
}

inline TensorView view_of(const Dims& values, const Dims& dims) {
  TensorView out;
  out.dtype = DType::kInt64;
  for (const auto dim : dims) out.shape.push(dim);
  out.data = std::as_bytes(std::span(values));
  return out;
}

// The first output's numbers; empty, and a failure, where the model cannot be loaded or run.
inline std::vector<float> answers(const std::filesystem::path& file, const TensorView& input) {
  const auto model = TestLab().load(file);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  Arena arena;
  std::vector<TensorView> outputs((*model)->signature().outputs.size());
  const auto ran = (*model)->run({&input, 1}, outputs, arena);
  EXPECT_TRUE(ran) << ran.error().message;
  if (!ran) return {};
  const auto first = outputs[0].as<float>();
  return {first.begin(), first.end()};
}

// √(Σ(a − b)² / Σa²).
inline double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  EXPECT_FALSE(a.empty());
  double wrong = 0;
  double all = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    wrong += (static_cast<double>(a[i]) - b[i]) * (static_cast<double>(a[i]) - b[i]);
    all += static_cast<double>(a[i]) * a[i];
  }
  return std::sqrt(wrong / all);
}

// How often each operator is there.
inline std::map<std::string, int> operators(const std::filesystem::path& file) {
  std::map<std::string, int> out;
  const auto graph = OnnxGraph::open(file);
  EXPECT_TRUE(graph);
  if (!graph) return out;
  for (const auto& node : graph->graph().node()) ++out[node.op_type()];
  return out;
}

inline Node settings(std::initializer_list<std::pair<std::string, std::string>> values) {
  return small::settings_of(values);
}

// A folder for what one test makes, and the methods run in it.
class CompressTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "compress-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    std::filesystem::create_directory(directory_ / "made");
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file(std::string_view name) const { return directory_ / name; }

  Result<Made> make(std::string_view method, const std::filesystem::path& from,
                    const Node& settings = {}, const Dataset* calibration = nullptr) {
    const auto found = find_method(method);
    EXPECT_TRUE(found);
    if (!found) return Failure(found.error());
    const TestLab lab;
    const auto to = directory_ / "made" / std::to_string(++made_);
    std::filesystem::create_directory(to);
    return (*found)->make(
        Task{from, to, settings, calibration, lab, stop_, [](std::string_view, double) {}});
  }

  std::filesystem::path directory_;
  std::atomic<bool> stop_ = false;

 private:
  int made_ = 0;
};

}  // namespace sluice::tools::compress
