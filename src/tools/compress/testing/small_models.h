// Graphs of a few nodes with random weights, and a Lab that runs them, for tests of methods.
// Thread-safety: functions without state.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engines/builtin.h"
#include "tools/compress/method.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress::small {

// With every engine that there is.
class TestLab final : public Lab {
 public:
  TestLab() { engines::register_builtin(registry_); }
  Result<std::unique_ptr<Model>> load(const std::filesystem::path& path) const override {
    SLUICE_TRY(auto directory, open_directory(path.parent_path()));
    ModelFile file;
    file.name = path.filename();
    SLUICE_TRY(const auto fd, open_beneath(directory, file.name));
    SLUICE_TRY(file.contents, FileBytes::copy(fd, "the model file"));
    file.directory = std::make_shared<const Fd>(std::move(directory));
    for (const auto& [unused, engine] : registry_.items()) {
      if (engine->accepts(file)) return engine->load(file, {});
    }
    return invalid("bad_model", "no engine takes it");
  }

 private:
  Registry<Engine> registry_;
};

// A folder that ends with it.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "sluice_compress_XXXXXX";
    if (const char* kept = std::getenv("SLUICE_TEST_KEEP")) {  // to look at with other tools
      path_ = std::filesystem::path(kept) /
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
      std::filesystem::create_directories(path_ / "out");
      keep_ = true;
      return;
    }
    path_ = ::mkdtemp(name.data());
    std::filesystem::create_directory(path_ / "out");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    if (!keep_) std::filesystem::remove_all(path_);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool keep_ = false;
};

inline std::vector<float> random_floats(std::size_t count, unsigned seed, float scale = 1) {
  std::mt19937 random(seed);
  std::vector<float> out(count);
  for (auto& value : out) {
    value = scale * (static_cast<float>(random() % 20'001) / 10'000.0F - 1.0F);
  }
  return out;
}

inline void add_value(google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>& values,
                      std::string_view name, const std::vector<std::int64_t>& dims) {
  auto& value = *values.Add();
  value.set_name(std::string(name));
  auto& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  for (const auto dim : dims) {
    auto& to = *type.mutable_shape()->add_dim();
    if (dim < 0) {
      to.set_dim_param("N");
    } else {
      to.set_dim_value(dim);
    }
  }
}

// A graph being written, opset 17.
class Builder {
 public:
  Builder() {
    model_.set_ir_version(8);
    model_.add_opset_import()->set_version(17);
    model_.mutable_graph()->set_name("test");
  }
  onnx::ModelProto& model() { return model_; }
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }

  void input(std::string_view name, const std::vector<std::int64_t>& dims) {
    add_value(*graph().mutable_input(), name, dims);
  }
  void output(std::string_view name, const std::vector<std::int64_t>& dims) {
    add_value(*graph().mutable_output(), name, dims);
  }
  void weight(std::string_view name, const std::vector<std::int64_t>& dims, unsigned seed,
              float scale = 1) {
    std::size_t count = 1;
    for (const auto dim : dims) count *= static_cast<std::size_t>(dim);
    weight(name, dims, random_floats(count, seed, scale));
  }
  void weight(std::string_view name, const std::vector<std::int64_t>& dims,
              const std::vector<float>& values) {
    *graph().add_initializer() = tensor_of(name, dims, std::span<const float>(values));
  }
  void integers(std::string_view name, const std::vector<std::int64_t>& values) {
    const std::int64_t dims[] = {static_cast<std::int64_t>(values.size())};
    *graph().add_initializer() = tensor_of(name, dims, std::span<const std::int64_t>(values));
  }
  onnx::NodeProto& node(std::string_view op, const std::vector<std::string>& inputs,
                        std::string_view output) {
    auto& out = *graph().add_node();
    out.set_op_type(std::string(op));
    out.set_name("make_" + std::string(output));
    for (const auto& input : inputs) out.add_input(input);
    out.add_output(std::string(output));
    return out;
  }
  // y = x · weightᵀ + bias, as PyTorch writes it.
  void gemm(const std::string& x, const std::string& y, std::int64_t from, std::int64_t to,
            unsigned seed) {
    weight(y + "_w", {to, from}, seed);
    weight(y + "_b", {to}, seed + 1000);
    set_attribute(node("Gemm", {x, y + "_w", y + "_b"}, y), "transB", std::int64_t{1});
  }
  void conv(const std::string& x, const std::string& y, std::int64_t from, std::int64_t to,
            unsigned seed) {
    weight(y + "_w", {to, from, 3, 3}, seed);
    weight(y + "_b", {to}, seed + 1000);
    const std::int64_t pads[] = {1, 1, 1, 1};
    set_attribute(node("Conv", {x, y + "_w", y + "_b"}, y), "pads", pads);
  }

  std::filesystem::path save(const std::filesystem::path& folder) {
    const auto path = folder / "model.onnx";
    std::ofstream file(path, std::ios::binary);
    EXPECT_TRUE(model_.SerializeToOstream(&file));
    return path;
  }

 private:
  onnx::ModelProto model_;
};

inline Node settings_of(const std::vector<std::pair<std::string, std::string>>& values) {
  Node out;
  out.kind = Node::Kind::kMap;
  for (const auto& [key, value] : values) out.entries.push_back({key, {}, Node::text(value)});
  return out;
}

inline Result<Made> make(std::string_view method, const std::filesystem::path& from,
                         const Folder& folder,
                         const std::vector<std::pair<std::string, std::string>>& settings = {},
                         bool stopped = false, const Dataset* calibration = nullptr) {
  const TestLab lab;
  const std::atomic<bool> stop = stopped;
  const auto node = settings_of(settings);
  const Task task{from, folder.path() / "out",          node, calibration, lab,
                  stop, [](std::string_view, double) {}};
  SLUICE_TRY(const auto* const found, find_method(method));
  return found->make(task);
}

// The first output's numbers for random rows (or those that are given) of a model with one input.
inline std::vector<float> answers(const std::filesystem::path& file,
                                  const std::vector<std::int64_t>& dims,
                                  std::vector<float> values = {}) {
  const auto model = TestLab().load(file);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  TensorView input;
  std::size_t count = 1;
  for (const auto dim : dims) {
    input.shape.push(dim);
    count *= static_cast<std::size_t>(dim);
  }
  if (values.empty()) values = random_floats(count, 77);
  input.data = std::as_bytes(std::span(values));
  std::vector<TensorView> outputs((*model)->signature().outputs.size());
  Arena arena;
  const auto ran = (*model)->run({&input, 1}, outputs, arena);
  EXPECT_TRUE(ran) << ran.error().message;
  if (!ran) return {};
  std::vector<float> out;
  for (std::size_t i = 0; i < outputs[0].elements(); ++i) {
    out.push_back(static_cast<float>(number_at(outputs[0], i)));
  }
  return out;
}

// |a - b| ≤ tolerance · (1 + |b|) everywhere.
inline void expect_close(const std::vector<float>& a, const std::vector<float>& b,
                         float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  ASSERT_FALSE(a.empty());
  for (std::size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << i;
  }
}

}  // namespace sluice::tools::compress::small
