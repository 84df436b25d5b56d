// Models of large tables, field by field, for tests: what becomes of their weights changes no
// answer. Thread-safety: functions without state.
#pragma once

#include <gtest/gtest.h>
#include <onnxruntime_cxx_api.h>

#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/protowire.h"
#include "engines/onnx_session.h"

namespace sluice::engines {

inline constexpr int kFloat = 1;
inline constexpr int kInt64 = 7;
inline constexpr int kHalf = 10;
inline constexpr int kDouble = 11;
inline constexpr std::int64_t kRows = 1 << 14;  // of each table
inline constexpr std::size_t kLeast = std::size_t{64} << 10;

// --- a model, field by field ---------------------------------------------------------------------

inline std::string field(std::uint32_t number, std::string_view bytes) {
  std::string out;
  WireWriter(out).bytes(number, bytes);
  return out;
}

inline std::string number(std::uint32_t name, std::uint64_t value) {
  std::string out;
  WireWriter(out).number(name, value);
  return out;
}

// Any bytes that make finite numbers of their type.
inline std::string numbers(int type, std::int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string out;
  const auto put = [&](auto value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(random() % 100'000) / 7 - 5'000;
    if (type == kFloat) put(static_cast<float>(value));
    if (type == kDouble) put(value);
    if (type == kInt64) put(static_cast<std::int64_t>(value));
    if (type == kHalf) put(static_cast<std::uint16_t>(random() % 0x7000));
  }
  return out;
}

inline std::string tensor(std::string_view name, int type, const std::vector<std::int64_t>& dims,
                          std::string_view raw, const std::string& more = "") {
  std::string out;
  for (const auto dim : dims) out += number(1, static_cast<std::uint64_t>(dim));
  out += number(2, static_cast<std::uint64_t>(type)) + field(8, name) + more;
  return out + field(9, raw);
}

inline std::string table(std::string_view name, int type, std::int64_t width, unsigned seed) {
  return tensor(name, type, {kRows, width}, numbers(type, kRows * width, seed));
}

inline std::string node(std::string_view op, const std::vector<std::string>& inputs,
                        std::string_view output, const std::vector<std::string>& attributes = {}) {
  std::string out;
  for (const auto& input : inputs) out += field(1, input);
  out += field(2, output) + field(4, op);
  for (const auto& attribute : attributes) out += field(5, attribute);
  return field(1, out);
}

inline std::string value(std::uint32_t kind, std::string_view name, int type, std::int64_t width) {
  std::string dims = field(1, field(2, "N"));
  if (width > 0) dims += field(1, number(1, static_cast<std::uint64_t>(width)));
  const auto shape = number(1, static_cast<std::uint64_t>(type)) + field(2, dims);
  return field(kind, field(1, name) + field(2, field(1, shape)));
}

// A branch of an If that looks up the rows `i` of a table of its own.
inline std::string branch(const std::string& attribute, const std::string& name, unsigned seed) {
  const auto graph = node("Gather", {name + "_weights", "i"}, name) + field(2, name) +
                     field(5, table(name + "_weights", kFloat, 2, seed)) +
                     value(12, name, kFloat, 2);
  return field(1, attribute) + field(6, graph) + number(20, 5);
}

// Inputs x[N,2] and i[N]. The tables are used in every way that a weight can be: looked up, twice,
// multiplied by, folded with another, left unused; others lie in a Constant node and in the
// branches of an If. `shift`: bytes that move everything behind them.
inline std::string model(std::size_t shift) {
  std::string graph = field(10, std::string(shift + 1, '.'));
  graph += node("Abs", {"i"}, "i2") + node("Gather", {"table", "i"}, "once") +
           node("Gather", {"table", "i2"}, "twice") + node("Add", {"once", "twice"}, "floats") +
           node("Gather", {"longs", "i"}, "integers") + node("Gather", {"halves", "i"}, "half") +
           node("Gather", {"reals", "i"}, "doubles") + node("MatMul", {"x", "wide"}, "hidden") +
           node("MatMul", {"hidden", "narrow"}, "product") + node("Add", {"left", "right"}, "sum") +
           node("Gather", {"sum", "i"}, "folded") +
           node("Constant", {}, "fixed",
                {field(1, "value") + field(5, table("", kFloat, 2, 9)) + number(20, 4)}) +
           node("Gather", {"fixed", "i"}, "constant") + node("Size", {"i"}, "size") +
           node("Greater", {"size", "two"}, "many") +
           node("If", {"many"}, "chosen",
                {branch("then_branch", "then", 10), branch("else_branch", "else", 11)});
  graph += field(2, "weights");
  for (const auto& weight :
       {table("table", kFloat, 8, 1), table("longs", kInt64, 1, 2), table("halves", kHalf, 4, 3),
        table("reals", kDouble, 3, 4), table("left", kFloat, 2, 7), table("right", kFloat, 2, 8),
        table("lonely", kFloat, 2, 12),
        tensor("wide", kFloat, {2, kRows}, numbers(kFloat, 2 * kRows, 5)),
        tensor("narrow", kFloat, {kRows, 1}, numbers(kFloat, kRows, 6)),
        tensor("two", kInt64, {}, std::string("\2\0\0\0\0\0\0\0", 8))}) {
    graph += field(5, weight);
  }
  graph += value(11, "x", kFloat, 2) + value(11, "i", kInt64, 0);
  graph += value(11, "reals", kDouble, 3);  // as files of IR version 3 have it for all of them
  graph += value(12, "floats", kFloat, 8) + value(12, "integers", kInt64, 1) +
           value(12, "half", kHalf, 4) + value(12, "doubles", kDouble, 3) +
           value(12, "product", kFloat, 1) + value(12, "folded", kFloat, 2) +
           value(12, "constant", kFloat, 2) + value(12, "chosen", kFloat, 2);
  return number(1, 8) + field(8, field(1, "") + number(2, 15)) + field(7, graph);
}

// --- running it ----------------------------------------------------------------------------------

inline std::shared_ptr<Ort::Env> environment() {
  return std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_FATAL, "test");
}

inline std::unique_ptr<OnnxModel> open(std::string_view whole, std::string_view given,
                                       const std::vector<OnnxWeight>& weights) {
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  hand_over(options, weights);
  auto env = environment();
  std::vector<Ort::Session> sessions;
  sessions.emplace_back(*env, given.data(), given.size(), options);
  auto out = std::make_unique<OnnxModel>(env, std::move(sessions), *scan_onnx(whole));
  EXPECT_TRUE(out->describe());
  return out;
}

// The bytes of all outputs for `rows` rows, one after the other.
inline std::string answers(const Model& model, std::int64_t rows) {
  std::vector<float> x;
  std::vector<std::int64_t> at;
  for (std::int64_t row = 0; row < rows; ++row) {
    x.insert(x.end(), {static_cast<float>(row) / 8, 1.5F - static_cast<float>(row)});
    at.push_back(row * 977 % kRows);
  }
  std::vector<TensorView> inputs(2);
  inputs[0].shape = {rows, 2};
  inputs[0].data = std::as_bytes(std::span(x));
  inputs[1].dtype = DType::kInt64;
  inputs[1].shape = {rows};
  inputs[1].data = std::as_bytes(std::span(at));
  std::vector<TensorView> outputs(model.signature().outputs.size());
  Arena arena;
  EXPECT_TRUE(model.run(inputs, outputs, arena));
  std::string out;
  for (const auto& output : outputs) {
    out.append(reinterpret_cast<const char*>(output.data.data()), output.data.size());
  }
  return out;
}

// A model whose only node uses `used`.
inline std::string small(std::string_view used, const std::string& initializers,
                         const std::string& more = "") {
  const auto graph = node("Gather", {std::string(used), "i"}, "y") + initializers +
                     value(11, "i", kInt64, 0) + value(12, "y", kFloat, 4);
  return number(1, 8) + field(8, field(1, "") + number(2, 15)) + field(7, graph + more);
}

inline constexpr std::size_t kSmall = 1024;  // bytes of `weight`

inline std::string weight(std::string_view name, const std::string& more = "") {
  return field(5, tensor(name, kFloat, {64, 4}, numbers(kFloat, 256, 1), more));
}

// Of more than the 16 MiB from which the engine takes weights out: y = the row `i` of w.
inline std::string large(std::string_view used, const std::string& more = "") {
  const auto raw = numbers(kFloat, 5 << 20, 1);
  return small(used, field(5, tensor("w", kFloat, {5 << 18, 4}, raw)) + more);
}

}  // namespace sluice::engines
