// Columns find their features, and what does not fit is told with what to do.
#include "tools/batch/binding.h"

#include <gtest/gtest.h>

namespace sluice::tools::batch {
namespace {

using Columns = std::vector<clients::SqlColumn>;

Schema schema_of(Columns columns) {
  Schema out;
  out.raw = columns;
  out.typed = std::move(columns);
  return out;
}

Signature table(std::int64_t width, std::vector<std::string> names, DType dtype = DType::kFloat32) {
  Signature out;
  out.inputs.push_back({"x", dtype, {-1, width}, Role::kUnknown});
  out.columns = std::move(names);
  return out;
}

std::string bound(const Signature& signature, const Schema& schema, BindOptions options = {}) {
  options.made = {"prediction", "confidence"};
  const auto found = bind(signature, schema, options);
  if (!found) return std::string(found.error().reason) + ": " + found.error().message;
  std::string out = found->in_order ? "in order " : "";
  for (const auto& field : found->fields) out += field.sql + " ";
  return out;
}

bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Binding, IsByName) {
  const auto schema = schema_of({{"b", "DOUBLE"}, {"other", "DATE"}, {"A", "BIGINT"}});
  EXPECT_EQ(bound(table(2, {"a", "b"}), schema), "CAST(\"A\" AS DOUBLE) CAST(\"b\" AS DOUBLE) ");
}

TEST(Binding, SaysWhatIsMissing) {
  const auto schema = schema_of({{"age", "DOUBLE"}, {"incme", "DOUBLE"}});
  const auto said = bound(table(2, {"age", "income"}), schema);
  EXPECT_TRUE(says(said, "missing_feature") && says(said, "did you mean 'incme'")) << said;
  EXPECT_TRUE(says(said, "--map") && says(said, "--columns")) << said;
}

TEST(Binding, IsByAMappingOrAList) {
  const auto schema = schema_of({{"p", "DOUBLE"}, {"q", "DOUBLE"}});
  const std::string wanted = "CAST(\"q\" AS DOUBLE) CAST(\"p\" AS DOUBLE) ";
  EXPECT_EQ(bound(table(2, {"a", "b"}), schema, {{}, {{"a", "q"}, {"b", "p"}}, {}}), wanted);
  EXPECT_EQ(bound(table(2, {"a", "b"}), schema, {{"q", "p"}, {}, {}}), wanted);
  EXPECT_TRUE(says(bound(table(2, {"a", "b"}), schema, {{"q"}, {}, {}}), "wrong_columns"));
  EXPECT_TRUE(says(bound(table(2, {"a", "b"}), schema, {{"q", "r"}, {}, {}}), "unknown_column"));
  EXPECT_TRUE(says(bound(table(2, {"a", "b"}), schema, {{}, {{"c", "q"}}, {}}), "no feature"));
}

TEST(Binding, TakesColumnsInOrderOnlyWhereTheCountSaysSo) {
  const auto fits = schema_of({{"p", "DOUBLE"}, {"q", "FLOAT"}, {"prediction", "DOUBLE"}});
  EXPECT_EQ(bound(table(2, {}), fits), "in order CAST(\"p\" AS DOUBLE) CAST(\"q\" AS FLOAT) ");
  EXPECT_TRUE(says(bound(table(3, {}), fits), "--columns"));
}

TEST(Binding, RefusesTypesThatAreNoNumbers) {
  const auto schema = schema_of({{"a", "TIMESTAMP"}});
  EXPECT_TRUE(says(bound(table(1, {"a"}), schema), "wrong_type"));
  EXPECT_EQ(bound(table(1, {"a"}, DType::kString), schema), "CAST(\"a\" AS VARCHAR) ");
  const auto whole = schema_of({{"a", "INTEGER"}});
  EXPECT_EQ(bound(table(1, {"a"}, DType::kInt64), whole), "CAST(\"a\" AS BIGINT) ");
}

TEST(Binding, AnImageMayHaveAColumnForEachPixel) {
  Signature signature;
  signature.inputs.push_back({"image", DType::kFloat32, {-1, 1, 2}, Role::kUnknown});
  const auto two = schema_of({{"p0", "DOUBLE"}, {"p1", "BIGINT"}, {"prediction", "BIGINT"}});
  EXPECT_EQ(bound(signature, two), "in order CAST(\"p0\" AS DOUBLE) CAST(\"p1\" AS DOUBLE) ");
  EXPECT_EQ(bound(signature, two, {{"p1", "p0"}, {}, {}}),
            "CAST(\"p1\" AS DOUBLE) CAST(\"p0\" AS DOUBLE) ");
  EXPECT_TRUE(says(bound(signature, schema_of({{"p0", "DOUBLE"}})), "no column 'image'"));
}

TEST(Binding, ReadsTensorsFromLists) {
  Signature signature;
  signature.inputs.push_back({"image", DType::kFloat32, {-1, 2, 3}, Role::kUnknown});
  EXPECT_EQ(bound(signature, schema_of({{"image", "FLOAT[]"}})), "CAST(\"image\" AS DOUBLE[]) ");
  const auto nested = bound(signature, schema_of({{"image", "FLOAT[][]"}}));
  EXPECT_TRUE(says(nested, "len(\"image\") = 2") && says(nested, "flatten(\"image\")")) << nested;
  EXPECT_TRUE(says(bound(signature, schema_of({{"image", "FLOAT"}})), "wrong_type"));
  EXPECT_TRUE(says(bound(signature, schema_of({{"image", "FLOAT[][][]"}})), "wrong_type"));
  EXPECT_EQ(bound(table(30, {}), schema_of({{"x", "DOUBLE[]"}, {"y", "DATE"}})),
            "CAST(\"x\" AS DOUBLE[]) ");
}

}  // namespace
}  // namespace sluice::tools::batch
