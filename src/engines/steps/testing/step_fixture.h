// A directory with files for steps, and steps made, bound and run as a pipeline would.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/yaml.h"
#include "engines/steps/builtin.h"

namespace sluice::engines {

class Steps : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "stepsXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    directory_ = std::make_shared<const Fd>(std::move(*open_directory(path_)));
    register_steps(kinds_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

  // Null where it is refused; `refusal_` says how.
  std::unique_ptr<Step> make(const std::string& kind, const std::string& yaml,
                             std::size_t inputs = 1) {
    Problems problems;
    const auto options = config::parse_yaml(yaml, problems);
    auto step = kinds_.find(kind)->make({*options, {1, 1}, inputs, directory_}, problems);
    refusal_.clear();
    if (!step) refusal_ = step.error().message;
    for (const auto& problem : problems) refusal_ += config::show_problem("p", problem);
    return step ? std::move(*step) : nullptr;
  }

  static Edge edge(DType dtype, std::vector<std::int64_t> dims) {
    Edge out;
    out.spec = {"in", dtype, std::move(dims), Role::kUnknown};
    return out;
  }

  template <class T>
  TensorView tensor(DType dtype, Shape shape, const std::vector<T>& values) {
    auto copy = arena_.array<T>(values.size());
    std::ranges::copy(values, copy.begin());
    return {dtype, shape, std::as_bytes(copy), {}};
  }
  TensorView floats(Shape shape, const std::vector<float>& values) {
    return tensor(DType::kFloat32, shape, values);
  }
  TensorView texts(Shape shape, const std::vector<std::string>& values) {
    auto out = arena_.array<std::string_view>(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = arena_.copy(values[i]);
    return {DType::kString, shape, {}, out};
  }

  // Binds the step to inputs like these, with free rows, and runs it.
  Result<std::vector<TensorView>> run(Step& step, const std::vector<TensorView>& inputs) {
    std::vector<Edge> edges;
    for (const auto& input : inputs) {
      const auto dims = input.shape.dims();
      edges.push_back(edge(input.dtype, {dims.begin(), dims.end()}));
      edges.back().spec.dims[0] = -1;
    }
    SLUICE_TRY(const auto bound, step.bind(edges));
    std::vector<TensorView> out(step.outputs().size());
    SLUICE_CHECK(step.run(inputs, out, arena_));
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_EQ(out[i].dtype, bound[i].spec.dtype);
      EXPECT_TRUE(bound[i].spec.fits(out[i].shape));
      EXPECT_EQ(out[i].elements(), *element_count(out[i].shape.dims()));
    }
    return out;
  }

  template <class T>
  std::vector<T> values(const std::string& kind, const std::string& yaml,
                        const std::vector<TensorView>& inputs) {
    const auto step = make(kind, yaml, inputs.size());
    EXPECT_NE(step, nullptr) << refusal_;
    if (!step) return {};
    const auto out = run(*step, inputs);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    if (!out) return {};
    const auto span = out->at(0).template as<T>();
    return {span.begin(), span.end()};
  }

  std::string refused(const std::string& kind, const std::string& yaml, std::size_t inputs = 1) {
    EXPECT_EQ(make(kind, yaml, inputs), nullptr);
    return refusal_;
  }
  std::string not_bound(const std::string& kind, const std::string& yaml,
                        const std::vector<Edge>& edges) {
    const auto step = make(kind, yaml, edges.size());
    EXPECT_NE(step, nullptr) << refusal_;
    const auto bound = step->bind(edges);
    return bound ? "" : bound.error().message;
  }

  Arena arena_;
  std::filesystem::path path_;
  std::shared_ptr<const Fd> directory_;
  StepKinds kinds_;
  std::string refusal_;
};

using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

}  // namespace sluice::engines
