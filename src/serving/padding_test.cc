#include "serving/padding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "base/half.h"

namespace sluice::serving {
namespace {

using Floats = std::vector<float>;
using Longs = std::vector<std::int64_t>;

TensorSpec spec(std::string name, DType dtype, std::vector<std::int64_t> dims) {
  return {std::move(name), dtype, std::move(dims), Role::kUnknown};
}

ModelConfig padded(std::vector<std::int64_t> buckets, double value = 0,
                   std::vector<std::string> zero = {}) {
  ModelConfig out;
  out.batching.emplace().pad = Padding{std::move(buckets), value, std::move(zero)};
  return out;
}

// tokens[N,L], mask[N,L] → scores[N,L], summary[N,2]
Signature sequences(DType tokens = DType::kInt64) {
  Signature out;
  out.inputs = {spec("tokens", tokens, {-1, -1}), spec("mask", DType::kFloat32, {-1, -1})};
  out.outputs = {spec("scores", DType::kFloat32, {-1, -1}),
                 spec("summary", DType::kFloat32, {-1, 2})};
  return out;
}

PadPlan plan(const Signature& signature, const ModelConfig& config) {
  return **PadPlan::make(signature, config);
}

template <class T>
TensorView tensor(Request& request, DType dtype, Shape shape, const std::vector<T>& values) {
  auto copy = request.arena.array<T>(values.size());
  std::ranges::copy(values, copy.begin());
  TensorView out;
  out.dtype = dtype;
  out.shape = shape;
  if constexpr (std::is_same_v<T, std::string_view>) {
    out.strings = copy;
  } else {
    out.data = std::as_bytes(copy);
  }
  return out;
}

// A request with these inputs.
template <class... Tensors>
void put(Request& request, const Tensors&... tensors) {
  request.inputs = request.arena.array<TensorView>(sizeof...(tensors));
  std::size_t i = 0;
  ((request.inputs[i++] = tensors), ...);
  request.rows = static_cast<std::size_t>(request.inputs[0].shape[0]);
}

Longs dims(const TensorView& tensor) {
  const auto all = tensor.shape.dims();
  return {all.begin(), all.end()};
}

template <class T>
std::vector<T> values(const TensorView& tensor) {
  const auto elements = tensor.as<T>();
  return {elements.begin(), elements.end()};
}

TEST(PadPlan, OnlyWhereItIsAskedFor) {
  EXPECT_FALSE(PadPlan::make(sequences(), {})->has_value());
  ModelConfig config;
  config.batching.emplace();
  EXPECT_FALSE(PadPlan::make(sequences(), config)->has_value());
  EXPECT_TRUE(PadPlan::make(sequences(), padded({4}))->has_value());
}

TEST(PadPlan, LengthensToTheSmallestBucketThatFits) {
  const auto pads = plan(sequences(), padded({4, 8}, 7, {"mask"}));
  const auto request = make_request();
  put(*request, tensor<std::int64_t>(*request, DType::kInt64, {2, 3}, {1, 2, 3, 4, 5, 6}),
      tensor<float>(*request, DType::kFloat32, {2, 3}, {1, 1, 1, 1, 1, 1}));
  pads.pad(*request);
  EXPECT_EQ(dims(request->inputs[0]), (Longs{2, 4}));
  EXPECT_EQ(values<std::int64_t>(request->inputs[0]), (Longs{1, 2, 3, 7, 4, 5, 6, 7}));
  EXPECT_EQ(dims(request->inputs[1]), (Longs{2, 4}));
  EXPECT_EQ(values<float>(request->inputs[1]), (Floats{1, 1, 1, 0, 1, 1, 1, 0})) << "a mask";
  EXPECT_EQ(request->unpadded, 3);
  EXPECT_EQ(request->padded, 4);
  EXPECT_EQ(request->rows, 2U);
}

TEST(PadPlan, CutsOutputsBack) {
  const auto pads = plan(sequences(), padded({4}));
  const auto request = make_request();
  put(*request, tensor<std::int64_t>(*request, DType::kInt64, {2, 3}, {1, 2, 3, 4, 5, 6}),
      tensor<float>(*request, DType::kFloat32, {2, 3}, {1, 1, 1, 1, 1, 1}));
  pads.pad(*request);
  request->reply.outputs = request->arena.array<TensorView>(2);
  request->reply.outputs[0] =
      tensor<float>(*request, DType::kFloat32, {2, 4}, {1, 2, 3, 99, 4, 5, 6, 99});
  request->reply.outputs[1] = tensor<float>(*request, DType::kFloat32, {2, 2}, {1, 2, 3, 4});
  pads.cut(*request);
  EXPECT_EQ(dims(request->reply.outputs[0]), (Longs{2, 3}));
  EXPECT_EQ(values<float>(request->reply.outputs[0]), (Floats{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(dims(request->reply.outputs[1]), (Longs{2, 2}));
  EXPECT_EQ(values<float>(request->reply.outputs[1]), (Floats{1, 2, 3, 4}));
}

TEST(PadPlan, RowsThatAreAsManyAsTheBucketAreNotCut) {
  const auto pads = plan(sequences(), padded({4}));
  const auto request = make_request();
  put(*request, tensor<std::int64_t>(*request, DType::kInt64, {4, 1}, {1, 2, 3, 4}),
      tensor<float>(*request, DType::kFloat32, {4, 1}, {1, 1, 1, 1}));
  pads.pad(*request);
  EXPECT_EQ(dims(request->inputs[0]), (Longs{4, 4}));
  request->reply.outputs = request->arena.array<TensorView>(2);
  request->reply.outputs[0] = tensor<float>(*request, DType::kFloat32, {4, 4}, Floats(16, 5));
  request->reply.outputs[1] = tensor<float>(*request, DType::kFloat32, {4, 2}, Floats(8, 5));
  pads.cut(*request);
  EXPECT_EQ(dims(request->reply.outputs[0]), (Longs{4, 1}));
  EXPECT_EQ(dims(request->reply.outputs[1]), (Longs{4, 2}));
}

TEST(PadPlan, EveryFreeDimensionOfThatLength) {
  Signature pairs;  // scores of each with each, beside a fixed dimension
  pairs.inputs = {spec("x", DType::kFloat32, {-1, -1, 2, -1})};
  pairs.outputs = {spec("y", DType::kFloat32, {-1, -1, 2, -1})};
  const auto pads = plan(pairs, padded({3}, -1));
  const auto request = make_request();
  put(*request, tensor<float>(*request, DType::kFloat32, {1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}));
  pads.pad(*request);
  EXPECT_EQ(dims(request->inputs[0]), (Longs{1, 3, 2, 3}));
  EXPECT_EQ(values<float>(request->inputs[0]),
            (Floats{1, 2, -1, 3, 4, -1, 5, 6, -1, 7, 8, -1, -1, -1, -1, -1, -1, -1}));
  request->reply.outputs = request->arena.array<TensorView>(1);
  request->reply.outputs[0] = request->inputs[0];
  pads.cut(*request);
  EXPECT_EQ(dims(request->reply.outputs[0]), (Longs{1, 2, 2, 2}));
  EXPECT_EQ(values<float>(request->reply.outputs[0]), (Floats{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST(PadPlan, InputsWithoutAFreeLengthStay) {
  Signature signature = sequences();
  signature.inputs[1].dims = {-1, 2};
  const auto pads = plan(signature, padded({4}));
  const auto request = make_request();
  put(*request, tensor<std::int64_t>(*request, DType::kInt64, {1, 2}, {1, 2}),
      tensor<float>(*request, DType::kFloat32, {1, 2}, {1, 2}));
  const auto* before = request->inputs[1].data.data();
  pads.pad(*request);
  EXPECT_EQ(dims(request->inputs[0]), (Longs{1, 4}));
  EXPECT_EQ(dims(request->inputs[1]), (Longs{1, 2}));
  EXPECT_EQ(request->inputs[1].data.data(), before) << "not even copied";
}

// --- every type ---------------------------------------------------------------------------------

template <class T>
void lengthens(DType dtype, double value, T expected) {
  Signature signature;
  signature.inputs = {spec("x", dtype, {-1, -1})};
  signature.outputs = {spec("y", dtype, {-1, -1})};
  const auto pads = plan(signature, padded({3}, value));
  const auto request = make_request();
  put(*request, tensor<T>(*request, dtype, {2, 2}, {1, 0, 0, 1}));
  pads.pad(*request);
  const auto& longer = request->inputs[0];
  EXPECT_EQ(longer.dtype, dtype);
  EXPECT_EQ(dims(longer), (Longs{2, 3})) << name_of(dtype);
  EXPECT_EQ(longer.elements(), 6U) << name_of(dtype);
  EXPECT_EQ(values<T>(longer), (std::vector<T>{1, 0, expected, 0, 1, expected})) << name_of(dtype);
  request->reply.outputs = request->arena.array<TensorView>(1);
  request->reply.outputs[0] = longer;
  pads.cut(*request);
  EXPECT_EQ(values<T>(request->reply.outputs[0]), (std::vector<T>{1, 0, 0, 1})) << name_of(dtype);
}

TEST(PadPlan, EveryNumericType) {
  lengthens<std::uint8_t>(DType::kBool, 1, 1);
  lengthens<std::uint8_t>(DType::kBool, 0.5, 1);
  lengthens<std::uint8_t>(DType::kBool, 0, 0);
  lengthens<std::uint8_t>(DType::kUint8, 200, 200);
  lengthens<std::uint16_t>(DType::kUint16, 65'535, 65'535);
  lengthens<std::uint32_t>(DType::kUint32, 4'000'000'000, 4'000'000'000);
  lengthens<std::uint64_t>(DType::kUint64, 1e15, 1'000'000'000'000'000);
  lengthens<std::int8_t>(DType::kInt8, -100, -100);
  lengthens<std::int16_t>(DType::kInt16, -30'000, -30'000);
  lengthens<std::int32_t>(DType::kInt32, -2'000'000'000, -2'000'000'000);
  lengthens<std::int64_t>(DType::kInt64, -1e15, -1'000'000'000'000'000);
  lengthens<std::uint16_t>(DType::kFloat16, -1.5, float_to_half(-1.5F));
  lengthens<std::uint16_t>(DType::kBFloat16, 0.1, float_to_bf16(0.1F));
  lengthens<float>(DType::kFloat32, 0.1, 0.1F);
  lengthens<double>(DType::kFloat64, 0.1, 0.1);
}

TEST(PadPlan, StringsAreLengthenedWithEmptyOnes) {
  Signature signature;
  signature.inputs = {spec("x", DType::kString, {-1, -1})};
  signature.outputs = {spec("y", DType::kString, {-1, -1})};
  const auto pads = plan(signature, padded({3}, 7));
  const auto request = make_request();
  put(*request, tensor<std::string_view>(*request, DType::kString, {2, 1}, {"a", "b"}));
  pads.pad(*request);
  ASSERT_EQ(dims(request->inputs[0]), (Longs{2, 3}));
  const auto longer = request->inputs[0].strings;
  EXPECT_EQ(std::vector(longer.begin(), longer.end()),
            (std::vector<std::string_view>{"a", "", "", "b", "", ""}));
  request->reply.outputs = request->arena.array<TensorView>(1);
  request->reply.outputs[0] = request->inputs[0];
  pads.cut(*request);
  const auto cut = request->reply.outputs[0].strings;
  EXPECT_EQ(std::vector(cut.begin(), cut.end()), (std::vector<std::string_view>{"a", "b"}));
}

// --- what stays as it is ------------------------------------------------------------------------

void stays(std::int64_t tokens, std::int64_t mask) {
  const auto pads = plan(sequences(), padded({4, 8}, 7));
  const auto request = make_request();
  put(*request,
      tensor<std::int64_t>(*request, DType::kInt64, {1, tokens},
                           Longs(static_cast<std::size_t>(tokens), 1)),
      tensor<float>(*request, DType::kFloat32, {1, mask},
                    Floats(static_cast<std::size_t>(mask), 1)));
  const auto before = request->inputs;
  pads.pad(*request);
  EXPECT_EQ(request->inputs.data(), before.data()) << tokens << " and " << mask;
  EXPECT_EQ(dims(request->inputs[0]), (Longs{1, tokens}));
  EXPECT_EQ(dims(request->inputs[1]), (Longs{1, mask}));
  EXPECT_EQ(request->padded, 0) << tokens << " and " << mask;
  // Nor are its outputs cut, whatever their lengths.
  request->reply.outputs = request->arena.array<TensorView>(2);
  request->reply.outputs[0] = tensor<float>(*request, DType::kFloat32, {1, 4}, {1, 2, 3, 4});
  request->reply.outputs[1] = tensor<float>(*request, DType::kFloat32, {1, 2}, {1, 2});
  pads.cut(*request);
  EXPECT_EQ(dims(request->reply.outputs[0]), (Longs{1, 4}));
}

TEST(PadPlan, ALengthOfABucketOrBeyondTheLastStays) {
  stays(4, 4);
  stays(8, 8);
  stays(9, 9);
  stays(1000, 1000);
}

TEST(PadPlan, SeveralLengthsStay) {
  stays(3, 2);
  stays(2, 3);
  stays(3, 4);
}

TEST(PadPlan, NoLengthStays) { stays(0, 0); }

TEST(PadPlan, MoreRowsThanABatchMayHaveStay) {
  auto config = padded({4});
  config.batching->max_batch_size = 2;
  const auto pads = plan(sequences(), config);
  for (const std::int64_t rows : {2, 3}) {
    const auto request = make_request();
    const auto count = static_cast<std::size_t>(rows);
    put(*request, tensor<std::int64_t>(*request, DType::kInt64, {rows, 1}, Longs(count, 1)),
        tensor<float>(*request, DType::kFloat32, {rows, 1}, Floats(count, 1)));
    pads.pad(*request);
    EXPECT_EQ(dims(request->inputs[0]), (Longs{rows, rows == 2 ? 4 : 1}));
  }
}

TEST(PadPlan, WhatWouldBecomeVeryLargeStays) {
  const auto pads = plan(sequences(), padded({1 << 20, 1 << 21}));
  for (const std::int64_t rows : {1, 2}) {
    const auto request = make_request();
    const auto count = static_cast<std::size_t>(rows);
    put(*request, tensor<std::int64_t>(*request, DType::kInt64, {rows, 1}, Longs(count, 1)),
        tensor<float>(*request, DType::kFloat32, {rows, 1}, Floats(count, 1)));
    pads.pad(*request);
    EXPECT_EQ(dims(request->inputs[0]), (Longs{rows, rows == 1 ? 1 << 20 : 1}));
    EXPECT_EQ(request->padded, rows == 1 ? 1 << 20 : 0);
  }
}

TEST(PadPlan, AFreeLengthOfNoneBesideAnotherStays) {
  stays(3, 0);
  stays(0, 3);
}

// --- mistakes -----------------------------------------------------------------------------------

std::string mistake(const Signature& signature, const ModelConfig& config) {
  const auto made = PadPlan::make(signature, config);
  if (made) return "none";
  EXPECT_EQ(made.error().code, Code::kInvalidArgument);
  EXPECT_EQ(made.error().reason, "bad_config");
  return made.error().message;
}

TEST(PadPlan, MistakesInTheConfiguration) {
  EXPECT_NE(mistake(sequences(), padded({})).find("needs buckets"), std::string::npos);
  EXPECT_NE(mistake(sequences(), padded({4}, 0, {"mask", "nope"})).find("'nope'"),
            std::string::npos);
  EXPECT_NE(mistake(sequences(), padded({4}, 0, {"scores"})).find("'scores'"), std::string::npos)
      << "an output is no input";
}

TEST(PadPlan, AModelThatItIsOfNoUseTo) {
  Signature fixed = sequences();
  for (auto& input : fixed.inputs) input.dims = {-1, 4};
  EXPECT_NE(mistake(fixed, padded({4})).find("no use"), std::string::npos);
  Signature one_row = sequences();
  one_row.inputs[0].dims[0] = 1;
  EXPECT_NE(mistake(one_row, padded({4})).find("no use"), std::string::npos);
  Signature rows_only;
  rows_only.inputs = {spec("x", DType::kFloat32, {-1})};
  rows_only.outputs = {spec("y", DType::kFloat32, {-1})};
  EXPECT_NE(mistake(rows_only, padded({4})).find("no use"), std::string::npos)
      << "the rows' own dimension is no length";
}

}  // namespace
}  // namespace sluice::serving
