#include "repository/tensor_wire.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace sluice::repository {
namespace {

const std::vector<float> kFloats = {1.5F, -0.0F, 3e38F, 4, 5, 6};
const std::vector<std::string_view> kTexts = {"", "one", std::string_view("\0\xff", 2), "zwölf"};

std::vector<TensorView> some_tensors() {
  std::vector<TensorView> out(3);
  out[0].shape = {2, 3};
  out[0].data = std::as_bytes(std::span(kFloats));
  out[1].dtype = DType::kString;
  out[1].shape = {4, 1};
  out[1].strings = kTexts;
  out[2].dtype = DType::kInt64;
  out[2].shape = {0, 7};
  return out;
}

std::span<std::byte> written(std::span<const TensorView> tensors, Arena& arena) {
  const auto out = arena.array<std::byte>(wire_size(tensors));
  std::ranges::fill(out, std::byte{0});
  write_tensors(tensors, out);
  return out;
}

TEST(TensorWire, WhatIsWrittenIsRead) {
  Arena arena;
  const auto tensors = some_tensors();
  const auto bytes = written(tensors, arena);
  std::vector<TensorView> read(tensors.size());
  ASSERT_TRUE(read_tensors(bytes, read, arena));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(read[i].dtype, tensors[i].dtype);
    EXPECT_EQ(read[i].shape, tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(read[i].data, tensors[i].data));
    EXPECT_TRUE(std::ranges::equal(read[i].strings, tensors[i].strings));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(read[i].data.data()) % 64, 0U);
  }
}

TEST(TensorWire, NothingButWholeTensorsIsRead) {
  Arena arena;
  const auto tensors = some_tensors();
  const auto bytes = written(tensors, arena);
  std::vector<TensorView> read(tensors.size());
  EXPECT_FALSE(read_tensors(bytes.first(bytes.size() - 1), read, arena));
  EXPECT_FALSE(read_tensors(bytes.first(100), read, arena));
  EXPECT_FALSE(read_tensors({}, read, arena));
  read.resize(2);
  EXPECT_FALSE(read_tensors(bytes, read, arena)) << "one more than is expected";
  read.resize(4);
  EXPECT_FALSE(read_tensors(bytes, read, arena)) << "one fewer";
}

// Whatever stands there, what is read lies within it.
TEST(TensorWire, DamagedBytesAreRefusedOrReadWithinBounds) {
  Arena arena;
  const auto tensors = some_tensors();
  const auto good = written(tensors, arena);
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same each time
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    Arena scratch;
    const auto bytes = scratch.array<std::byte>(good.size());
    std::ranges::copy(good, bytes.begin());
    for (int i = 0; i < 3; ++i) bytes[random() % bytes.size()] = std::byte(random());
    std::vector<TensorView> read(tensors.size());
    if (!read_tensors(bytes, read, scratch)) {
      ++refused;
      continue;
    }
    const auto inside = [&](const void* at, std::size_t size) {
      const auto* begin = static_cast<const std::byte*>(at);
      return size == 0 || (begin >= bytes.data() && begin + size <= bytes.data() + bytes.size());
    };
    for (const auto& tensor : read) {
      EXPECT_TRUE(inside(tensor.data.data(), tensor.data.size()));
      for (const auto text : tensor.strings) EXPECT_TRUE(inside(text.data(), text.size()));
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace sluice::repository
