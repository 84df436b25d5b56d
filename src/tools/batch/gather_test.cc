// Rows become the tensors that a model takes: column by column where that is allowed, and then the
// same as row by row.
#include "tools/batch/gather.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <optional>

namespace sluice::tools::batch {
namespace {

using clients::SqlChunk;
using Added = Gather::Added;

Field field_of(std::size_t place, Reading reading, bool list = false) {
  Field out;
  out.column = "c" + std::to_string(place);
  out.place = place;
  out.reading = reading;
  out.list = list;
  return out;
}

Signature takes(DType dtype, std::vector<std::int64_t> dims) {
  Signature out;
  out.inputs.push_back({"x", dtype, std::move(dims), Role::kUnknown});
  return out;
}

class Gathered : public ::testing::Test {
 protected:
  void SetUp() override {
    auto engine = clients::Duckdb::open({});
    ASSERT_TRUE(engine) << engine.error().message;
    auto session = clients::DuckdbSession::open(*engine);
    ASSERT_TRUE(session) << session.error().message;
    session_.emplace(std::move(*session));
  }

  SqlChunk chunk(const std::string& sql, std::vector<bool> lists) {
    auto rows = session_->rows(sql, std::move(lists), {});
    if (!rows) throw std::runtime_error(rows.error().message);
    auto found = rows->next();
    if (!found || !*found) throw std::runtime_error("no rows of " + sql);
    return **found;
  }

  std::optional<clients::DuckdbSession> session_;
};

template <class T>
std::vector<T> values(const Gather& gather) {
  const auto inputs = gather.inputs();
  const auto found = inputs[0].as<T>();
  return {found.begin(), found.end()};
}

// Whatever NaN it is.
std::vector<std::uint32_t> bits(const std::vector<float>& values) {
  std::vector<std::uint32_t> out;
  for (const float value : values) {
    out.push_back(std::isnan(value) ? 0x7fc00000U : std::bit_cast<std::uint32_t>(value));
  }
  return out;
}

// All rows of the chunk, however they can be had: (the numbers, the rows that are bad).
std::pair<std::vector<std::uint32_t>, std::vector<std::size_t>> all_of(Gather& gather,
                                                                       const SqlChunk& chunk,
                                                                       bool in_runs,
                                                                       std::size_t run) {
  std::vector<std::size_t> bad;
  for (std::size_t row = 0; row < chunk.rows();) {
    const std::size_t want = std::min(run, chunk.rows() - row);
    const std::size_t added = in_runs ? gather.add_run(chunk, row, want) : 0;
    row += added;
    if (in_runs && added == want) continue;
    if (gather.add(chunk, row) == Added::kBad) bad.push_back(row);
    ++row;
  }
  return {bits(values<float>(gather)), bad};
}

TEST_F(Gathered, ColumnByColumnIsTheSameAsRowByRow) {
  // Nulls, NaN, infinities that are meant, and some that no float holds.
  const auto rows = chunk(
      "SELECT CASE WHEN r % 7 = 3 THEN NULL WHEN r % 11 = 5 THEN 'inf'::FLOAT ELSE r * 0.37::FLOAT "
      "END::FLOAT, CASE WHEN r % 5 = 1 THEN NULL WHEN r % 97 = 13 THEN -1e39 WHEN r % 13 = 2 THEN "
      "'nan'::DOUBLE WHEN r % 17 = 2 THEN '-inf'::DOUBLE ELSE sin(r) * 1e30 END::DOUBLE, "
      "r::FLOAT FROM range(2000) t(r)",
      {false, false, false});
  const auto signature = takes(DType::kFloat32, {-1, 3});
  Binding binding;
  binding.fields = {field_of(0, Reading::kFloat), field_of(1, Reading::kReal),
                    field_of(2, Reading::kFloat)};
  Gather slow(signature, binding);
  const auto [wanted, bad] = all_of(slow, rows, false, 0);
  ASSERT_EQ(slow.rows() + bad.size(), rows.rows());
  ASSERT_GT(bad.size(), 10U);
  for (const std::size_t run : {1U, 63U, 64U, 1000U, 2000U}) {
    Gather fast(signature, binding);
    const auto [numbers, refused] = all_of(fast, rows, true, run);
    EXPECT_EQ(refused, bad);
    EXPECT_EQ(numbers, wanted) << run;
  }
}

TEST_F(Gathered, ARunEndsBeforeABadRowWhoseReasonIsTold) {
  const auto rows = chunk("SELECT unnest([1.0, 2.0, 1e300, 4.0])::DOUBLE", {false});
  const auto signature = takes(DType::kFloat32, {-1, 1});
  Binding binding;
  binding.fields = {field_of(0, Reading::kReal)};
  Gather gather(signature, binding);
  EXPECT_EQ(gather.add_run(rows, 0, 4), 2U);
  EXPECT_EQ(gather.add(rows, 2), Added::kBad);
  EXPECT_EQ(gather.reason(), "column 'c0' is too large for FP32");
  EXPECT_EQ(gather.add_run(rows, 3, 1), 1U);
  EXPECT_EQ(values<float>(gather), (std::vector<float>{1, 2, 4}));
  gather.clear();
  EXPECT_EQ(gather.rows(), 0U);
}

TEST_F(Gathered, TextsInColumnsAreTheSameAsRowByRow) {
  const auto rows = chunk(
      "SELECT CASE r % 8 WHEN 0 THEN NULL WHEN 1 THEN ' 0.1 ' WHEN 2 THEN 'NaN' WHEN 3 THEN 'TRUE' "
      "WHEN 4 THEN '' WHEN 5 THEN '-1e-3' WHEN 6 THEN 'inf' ELSE CASE WHEN r % 64 = 7 THEN 'x' "
      "WHEN "
      "r % 64 = 15 THEN '1e39' ELSE r::VARCHAR END END FROM range(2000) t(r)",
      {false});
  const auto signature = takes(DType::kFloat32, {-1, 1});
  Binding binding;
  binding.fields = {field_of(0, Reading::kText)};
  Gather slow(signature, binding);
  const auto [wanted, bad] = all_of(slow, rows, false, 0);
  ASSERT_GT(bad.size(), 60U);
  for (const std::size_t run : {1U, 100U, 2000U}) {
    Gather fast(signature, binding);
    const auto [numbers, refused] = all_of(fast, rows, true, run);
    EXPECT_EQ(refused, bad);
    EXPECT_EQ(numbers, wanted) << run;
  }
}

TEST_F(Gathered, IntegersMustFit) {
  const auto rows = chunk("SELECT unnest([127, -128, 128, NULL])::BIGINT", {false});
  const auto signature = takes(DType::kInt8, {-1, 1});
  Binding binding;
  binding.fields = {field_of(0, Reading::kInteger)};
  Gather gather(signature, binding);
  EXPECT_EQ(gather.add_run(rows, 0, 4), 0U);
  EXPECT_EQ(gather.add(rows, 0), Added::kGood);
  EXPECT_EQ(gather.add(rows, 1), Added::kGood);
  EXPECT_EQ(gather.add(rows, 2), Added::kBad);
  EXPECT_EQ(gather.reason(), "column 'c0' is outside of what INT8 can hold");
  EXPECT_EQ(gather.add(rows, 3), Added::kBad);
  EXPECT_TRUE(gather.reason().contains("has no value")) << gather.reason();
  EXPECT_EQ(values<std::int8_t>(gather), (std::vector<std::int8_t>{127, -128}));
}

TEST_F(Gathered, TextsAreReadAsNumbers) {
  const auto rows = chunk("SELECT unnest([' 7 ', '1e3', 'true', '', 'NaN', 'seven'])", {false});
  const auto signature = takes(DType::kFloat64, {-1, 1});
  Binding binding;
  binding.fields = {field_of(0, Reading::kText)};
  Gather gather(signature, binding);
  for (std::size_t row = 0; row < 5; ++row) EXPECT_EQ(gather.add(rows, row), Added::kGood) << row;
  EXPECT_EQ(gather.add(rows, 5), Added::kBad);
  EXPECT_FALSE(gather.reason().contains("seven")) << gather.reason();
  const auto numbers = values<double>(gather);
  EXPECT_EQ(numbers[0], 7);
  EXPECT_EQ(numbers[1], 1000);
  EXPECT_EQ(numbers[2], 1);
  EXPECT_TRUE(std::isnan(numbers[3]) && std::isnan(numbers[4]));
}

TEST_F(Gathered, ListsOfOtherShapesWait) {
  const auto rows = chunk("SELECT unnest([[1.0, 2.0], [3.0, 4.0], [5.0], NULL])::DOUBLE[]", {true});
  const auto signature = takes(DType::kFloat32, {-1, -1});
  Binding binding;
  binding.fields = {field_of(0, Reading::kReal, true)};
  Gather gather(signature, binding);
  EXPECT_EQ(gather.add(rows, 0), Added::kGood);
  EXPECT_EQ(gather.add(rows, 1), Added::kGood);
  EXPECT_EQ(gather.add(rows, 2), Added::kOther);
  EXPECT_EQ(gather.inputs()[0].shape, Shape({2, 2}));
  EXPECT_EQ(values<float>(gather), (std::vector<float>{1, 2, 3, 4}));
  gather.clear();
  EXPECT_EQ(gather.add(rows, 2), Added::kGood);
  EXPECT_EQ(gather.inputs()[0].shape, Shape({1, 1}));
  EXPECT_EQ(gather.add(rows, 3), Added::kBad);
}

}  // namespace
}  // namespace sluice::tools::batch
