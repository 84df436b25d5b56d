// Weights that are taken out of a model change no answer, and hostile files end well.

#include "engines/onnx_weights.h"

#include <gtest/gtest.h>
#include <onnxruntime_cxx_api.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/protowire.h"
#include "engines/onnx.h"
#include "engines/onnx_session.h"

namespace sluice::engines {
namespace {

constexpr int kFloat = 1;
constexpr int kInt64 = 7;
constexpr int kHalf = 10;
constexpr int kDouble = 11;
constexpr std::int64_t kRows = 1 << 14;  // of each table
constexpr std::size_t kLeast = std::size_t{64} << 10;

// --- a model, field by field ---------------------------------------------------------------------

std::string field(std::uint32_t number, std::string_view bytes) {
  std::string out;
  WireWriter(out).bytes(number, bytes);
  return out;
}

std::string number(std::uint32_t name, std::uint64_t value) {
  std::string out;
  WireWriter(out).number(name, value);
  return out;
}

// Any bytes that make finite numbers of their type.
std::string numbers(int type, std::int64_t count, unsigned seed) {
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

std::string tensor(std::string_view name, int type, const std::vector<std::int64_t>& dims,
                   std::string_view raw, const std::string& more = "") {
  std::string out;
  for (const auto dim : dims) out += number(1, static_cast<std::uint64_t>(dim));
  out += number(2, static_cast<std::uint64_t>(type)) + field(8, name) + more;
  return out + field(9, raw);
}

std::string table(std::string_view name, int type, std::int64_t width, unsigned seed) {
  return tensor(name, type, {kRows, width}, numbers(type, kRows * width, seed));
}

std::string node(std::string_view op, const std::vector<std::string>& inputs,
                 std::string_view output, const std::vector<std::string>& attributes = {}) {
  std::string out;
  for (const auto& input : inputs) out += field(1, input);
  out += field(2, output) + field(4, op);
  for (const auto& attribute : attributes) out += field(5, attribute);
  return field(1, out);
}

std::string value(std::uint32_t kind, std::string_view name, int type, std::int64_t width) {
  std::string dims = field(1, field(2, "N"));
  if (width > 0) dims += field(1, number(1, static_cast<std::uint64_t>(width)));
  const auto shape = number(1, static_cast<std::uint64_t>(type)) + field(2, dims);
  return field(kind, field(1, name) + field(2, field(1, shape)));
}

// A branch of an If that looks up the rows `i` of a table of its own.
std::string branch(const std::string& attribute, const std::string& name, unsigned seed) {
  const auto graph = node("Gather", {name + "_weights", "i"}, name) + field(2, name) +
                     field(5, table(name + "_weights", kFloat, 2, seed)) +
                     value(12, name, kFloat, 2);
  return field(1, attribute) + field(6, graph) + number(20, 5);
}

// Inputs x[N,2] and i[N]. The tables are used in every way that a weight can be: looked up, twice,
// multiplied by, folded with another, left unused; others lie in a Constant node and in the
// branches of an If. `shift`: bytes that move everything behind them.
std::string model(std::size_t shift) {
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

std::shared_ptr<Ort::Env> environment() {
  return std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_FATAL, "test");
}

std::unique_ptr<OnnxModel> open(std::string_view whole, std::string_view given,
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
std::string answers(const Model& model, std::int64_t rows) {
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

std::set<std::string> names(const OnnxParts& parts) {
  std::set<std::string> out;
  for (const auto& weight : parts.weights) out.insert(weight.name);
  return out;
}

TEST(OnnxWeights, AnswersAreTheSameBits) {
  const auto plain = model(0);
  const auto whole = open(plain, plain, {});
  // Weights at every address that there is, of which a fraction is one for numbers.
  for (const std::size_t shift : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const auto bytes = model(shift);
    const auto parts = take_out_weights(bytes, kLeast);
    EXPECT_EQ(names(parts), (std::set<std::string>{"table", "longs", "halves", "reals", "left",
                                                   "right", "wide", "narrow"}));
    const auto apart = open(bytes, parts.rest, parts.weights);
    for (const std::int64_t rows : {1, 2, 3, 64}) {
      EXPECT_EQ(answers(*apart, rows), answers(*whole, rows)) << "moved by " << shift;
    }
  }
}

// A model whose only node uses `used`.
std::string small(std::string_view used, const std::string& initializers,
                  const std::string& more = "") {
  const auto graph = node("Gather", {std::string(used), "i"}, "y") + initializers +
                     value(11, "i", kInt64, 0) + value(12, "y", kFloat, 4);
  return number(1, 8) + field(8, field(1, "") + number(2, 15)) + field(7, graph + more);
}

constexpr std::size_t kSmall = 1024;  // bytes of `weight`

std::string weight(std::string_view name, const std::string& more = "") {
  return field(5, tensor(name, kFloat, {64, 4}, numbers(kFloat, 256, 1), more));
}

TEST(OnnxWeights, OnlyWhatIsWholeAndPlainIsTakenOut) {
  const auto taken = [](const std::string& model) {
    return names(take_out_weights(model, kSmall));
  };
  const std::set<std::string> none;
  EXPECT_EQ(taken(small("w", weight("w"))), std::set<std::string>{"w"});
  EXPECT_EQ(names(take_out_weights(small("w", weight("w")), kSmall + 1)), none) << "too small";
  EXPECT_EQ(taken(small("v", weight("w"))), none) << "unused";
  EXPECT_EQ(taken(small("w", weight("w") + weight("w"))), none) << "there twice";
  EXPECT_EQ(taken(small("w", weight("w") + field(15, weight("w").replace(0, 1, "\x0A")))), none)
      << "sparse as well";
  EXPECT_EQ(taken(small("w", weight(""))), none) << "without a name";
  EXPECT_EQ(taken(small("w", weight("w", field(4, std::string(4, '\0'))))), none)
      << "data in two fields";
  EXPECT_EQ(taken(small("w", weight("w", field(9, std::string(kSmall, '\0'))))), none)
      << "data twice";
  EXPECT_EQ(taken(small("w", weight("w", field(13, "x")))), none) << "external data";
  EXPECT_EQ(taken(small("w", weight("w", number(1, 2)))), none) << "too little data";
  EXPECT_EQ(taken(small("w", weight("w", number(1, ~0ULL)))), none) << "negative dimension";
  EXPECT_EQ(taken(small("w", weight("w", number(1, 1ULL << 62)))), none) << "overflow";
  EXPECT_EQ(taken(small("w", weight("w", number(2, 8)))), none) << "texts";
  EXPECT_EQ(taken(small("w", weight("w")) + field(7, "")), none) << "two graphs";
  EXPECT_EQ(taken(small("w", weight("w"), field(10, std::string(5000, '.')))), none)
      << "mostly something else";
}

TEST(OnnxWeights, WhatIsLeftIsTheSameModel) {
  const auto whole = small("w", weight("w", field(12, "why it is there")));
  const auto parts = take_out_weights(whole, kSmall);
  ASSERT_EQ(parts.weights.size(), 1U);
  EXPECT_EQ(parts.weights[0].data, numbers(kFloat, 256, 1));
  EXPECT_EQ(parts.weights[0].dims, (std::vector<std::int64_t>{64, 4}));
  EXPECT_EQ(parts.weights[0].type, kFloat);
  EXPECT_NE(parts.rest.find("why it is there"), std::string::npos);
  EXPECT_EQ(parts.rest.find(numbers(kFloat, 256, 1)), std::string::npos);
  const auto facts = scan_onnx(parts.rest);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->parameters, scan_onnx(whole)->parameters);
  EXPECT_EQ(facts->external_files.size(), 1U);
}

TEST(OnnxWeights, EveryPrefixAndEveryFlippedByteEndsWell) {
  const auto good = small("w", weight("w"));
  int taken = 0;
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    taken += static_cast<int>(
        take_out_weights(std::string_view(good).substr(0, cut), kSmall).weights.size());
  }
  EXPECT_EQ(taken, 0) << "the graph comes last: no prefix is a model";
  for (std::size_t i = 0; i < good.size(); ++i) {
    auto bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0xFF);
    for (const auto& weight : take_out_weights(bad, kSmall).weights) {
      EXPECT_GE(weight.data.data(), bad.data());
      EXPECT_LE(weight.data.data() + weight.data.size(), bad.data() + bad.size());
    }
  }
}

// The bytes as a file in memory.
ModelFile file_of(std::string_view bytes) {
  const auto fd = std::make_shared<const Fd>(::memfd_create("model", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd->get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  ModelFile out;
  out.name = "model.onnx";
  out.contents = *FileBytes::of_copy(fd);
  return out;
}

// Of more than the 16 MiB from which the engine takes weights out: y = the row `i` of w.
std::string large(std::string_view used, const std::string& more = "") {
  const auto raw = numbers(kFloat, 5 << 20, 1);
  return small(used, field(5, tensor("w", kFloat, {5 << 18, 4}, raw)) + more);
}

TEST(OnnxWeights, TheEngineAnswersFromLargeModels) {
  const auto bytes = large("w");
  ASSERT_EQ(take_out_weights(bytes, kLeast).weights.size(), 1U);
  auto model = make_onnx()->load(file_of(bytes), {});
  ASSERT_TRUE(model);
  const std::int64_t row = (5 << 18) - 1;
  TensorView input;
  input.dtype = DType::kInt64;
  input.shape = {1};
  input.data = std::as_bytes(std::span(&row, 1));
  TensorView output;
  Arena arena;
  ASSERT_TRUE((*model)->run({&input, 1}, {&output, 1}, arena));
  EXPECT_EQ(std::memcmp(output.data.data(), numbers(kFloat, 5 << 20, 1).data() + row * 16, 16), 0);
  EXPECT_EQ((*model)->parameters(), 5U << 20);
}

// The tensor w of `small`, with its data in a file.
std::string outside(const std::vector<std::pair<std::string, std::string>>& place) {
  std::string out = number(1, 64) + number(1, 4) + number(2, kFloat) + field(8, "w");
  for (const auto& [key, text] : place) out += field(13, field(1, key) + field(2, text));
  return field(5, out + number(14, 1));
}

TEST(OnnxWeights, WhatLiesWhollyInItsFileIsFound) {
  const std::string file(3000, '.');
  const OnnxFiles files = {{"f", file}};
  const auto found = [&](const std::string& model) {
    OnnxParts parts;
    parts.weights = find_weights(model, files, kSmall);
    return names(parts);
  };
  const std::set<std::string> none;
  const auto good = outside({{"location", "f"}, {"offset", "1976"}, {"length", "1024"}});
  EXPECT_EQ(found(small("w", good)), std::set<std::string>{"w"});
  const auto at = find_weights(small("w", good), files, kSmall).at(0).data;
  EXPECT_EQ(at.data() - file.data(), 1976);
  EXPECT_EQ(at.size(), kSmall);
  EXPECT_EQ(found(small("w", outside({{"location", "f"}}))), std::set<std::string>{"w"});
  EXPECT_TRUE(find_weights(small("w", good), files, kSmall + 1).empty()) << "too small";
  EXPECT_EQ(found(small("v", good)), none) << "unused";
  EXPECT_EQ(found(small("w", good + good)), none) << "there twice";
  EXPECT_EQ(found(small("w", weight("w"))), none) << "in the model";
  for (const auto& bad : std::vector<std::vector<std::pair<std::string, std::string>>>{
           {{"location", "g"}},
           {{"location", "f"}, {"offset", "1977"}},
           {{"location", "f"}, {"offset", "18446744073709551615"}},
           {{"location", "f"}, {"offset", "-1"}},
           {{"location", "f"}, {"length", "1023"}},
           {{"location", "f"}, {"location", "f"}},
           {{"location", "f"}, {"checksum", "0"}}}) {
    EXPECT_EQ(found(small("w", outside(bad))), none) << bad.back().first << bad.back().second;
  }
}

// One table is handed over from an odd place, one is too small for that.
TEST(OnnxWeights, TheEngineAnswersFromFilesBesideTheModel) {
  const auto raw = numbers(kFloat, kRows * 2, 1);
  const auto few = numbers(kFloat, 2, 2);
  const auto with = [&](const std::string& tensors) {
    const auto graph = node("Gather", {"w", "i"}, "row") + node("Add", {"row", "few"}, "y") +
                       tensors + value(11, "i", kInt64, 0) + value(12, "y", kFloat, 2);
    return number(1, 8) + field(8, field(1, "") + number(2, 15)) + field(7, graph);
  };
  const auto whole = with(field(5, tensor("w", kFloat, {kRows, 2}, raw)) +
                          field(5, tensor("few", kFloat, {2}, few)));
  const auto lies = [](std::string_view name, const std::string& dims, const std::string& offset) {
    return field(5, dims + number(2, kFloat) + field(8, name) +
                        field(13, field(1, "location") + field(2, "weights.bin")) +
                        field(13, field(1, "offset") + field(2, offset)) + number(14, 1));
  };
  const auto apart =
      with(lies("w", number(1, kRows) + number(1, 2), "9") + lies("few", number(1, 2), "1"));
  const auto folder =
      std::filesystem::path(testing::TempDir()) / ("onnx_weights_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "weights.bin", std::ios::binary) << '.' << few << raw;
  ASSERT_EQ(find_weights(apart, {{"weights.bin", "." + few + raw}}, kLeast).size(), 1U);
  auto file = file_of(apart);
  file.directory = std::make_shared<const Fd>(*open_directory(folder));
  const auto model = make_onnx()->load(file, {});
  std::filesystem::remove_all(folder);
  ASSERT_TRUE(model);
  const auto same = open(whole, whole, {});
  const std::vector<std::int64_t> rows = {0, 1, 77, kRows - 1};
  TensorView input;
  input.dtype = DType::kInt64;
  input.shape = {4};
  input.data = std::as_bytes(std::span(rows));
  TensorView output;
  TensorView expected;
  Arena arena;
  ASSERT_TRUE((*model)->run({&input, 1}, {&output, 1}, arena));
  ASSERT_TRUE(same->run({&input, 1}, {&expected, 1}, arena));
  EXPECT_TRUE(std::ranges::equal(output.data, expected.data));
}

// What ONNX Runtime says of a model is said of the file as it is.
TEST(OnnxWeights, TheEngineSaysWhatIsWrongWithALargeModel) {
  const auto failed = make_onnx()->load(file_of(large("missing")), {});
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().reason, "bad_model");
  const auto unknown = make_onnx()->load(file_of(large("w", node("NoSuchNode", {"w"}, "z"))), {});
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message.find("NoSuchNode"), std::string::npos);
}

}  // namespace
}  // namespace sluice::engines
