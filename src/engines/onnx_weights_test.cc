// Weights that are taken out of a model change no answer, and hostile files end well.

#include "engines/onnx_weights.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "engines/onnx.h"
#include "engines/testing/onnx_tables.h"

namespace sluice::engines {
namespace {

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
