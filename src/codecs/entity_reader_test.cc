#include <gtest/gtest.h>

#include "codecs/simple_json.h"
#include "core/request.h"

namespace sluice::codecs {
namespace {

Signature fetching(std::vector<EntityKey> keys = {{"user", KeyType::kText}}) {
  Signature out;
  out.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
  out.columns = {"age", "income"};
  out.fetched = std::make_shared<const FetchedFeatures>(
      FetchedFeatures{std::move(keys), {"age", "income", "amount"}, 4});
  out.seal();
  return out;
}

// Bodies need padding behind them.
RequestPtr decode(const Signature& signature, std::string body, Result<void>& result) {
  static std::vector<std::unique_ptr<std::string>> kept;
  auto& text = *kept.emplace_back(std::make_unique<std::string>(body));
  const std::size_t size = text.size();
  text.resize(size + json_padding());
  auto request = make_request();
  result = decode_simple_json({text.data(), size}, signature, false, *request);
  return request;
}

std::string_view reason_of(const std::string& body, const Signature& signature = fetching()) {
  Result<void> result;
  decode(signature, body, result);
  return result ? "" : result.error().reason;
}

TEST(EntityReader, OneEntity) {
  for (const auto* body : {R"({"entity_id":"42"})", R"({"entity_id":42})",
                           R"({"entity_id":{"user":"42"}})", R"({"entity_id":{"user":42}})"}) {
    Result<void> result;
    const auto request = decode(fetching(), body, result);
    ASSERT_TRUE(result) << body << ": " << result.error().message;
    ASSERT_NE(request->ask, nullptr);
    EXPECT_EQ(request->ask->rows, 1U);
    EXPECT_EQ(request->ask->entities, (std::vector<std::string_view>{"42"})) << body;
    EXPECT_FALSE(request->many_rows);
    EXPECT_EQ(request->entity_id, "42");
  }
}

TEST(EntityReader, ManyEntitiesAndFeaturesForAllOrForEach) {
  Result<void> result;
  auto request = decode(fetching(), R"({"features":{"amount":2.5},"entity_id":["a","b"]})", result);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(request->many_rows);
  ASSERT_EQ(request->ask->given.size(), 2U);
  EXPECT_EQ(request->ask->given[1].row, 1U);
  EXPECT_EQ(request->ask->given[1].feature, 2U);
  request = decode(fetching(), R"({"entity_id":["a","b"],"features":[{},{"age":null}]})", result);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(request->ask->given.size(), 1U);
  EXPECT_EQ(request->ask->given[0].row, 1U);
  EXPECT_TRUE(std::holds_alternative<Null>(request->ask->given[0].data));
}

TEST(EntityReader, SeveralKeysInAnyOrder) {
  const auto signature = fetching({{"user", KeyType::kText}, {"shop", KeyType::kInt64}});
  Result<void> result;
  const auto request =
      decode(signature, R"({"entity_id":[{"shop":7,"user":"a"},{"user":"b","shop":8}]})", result);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(request->ask->entities, (std::vector<std::string_view>{"a", "7", "b", "8"}));
  EXPECT_EQ(reason_of(R"({"entity_id":"a"})", signature), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":{"user":"a"}})", signature), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":{"user":"a","shp":1}})", signature), "bad_entity");
}

TEST(EntityReader, AListHasEveryColumnAndNothingIsFetched) {
  Result<void> result;
  const auto request = decode(fetching(), R"({"entity_id":"a","features":[1,2]})", result);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(request->ask, nullptr);
  EXPECT_EQ(request->inputs[0].as<float>()[1], 2);
  EXPECT_EQ(request->entity_id, "a");
}

TEST(EntityReader, FeaturesByNameNeedNoEntity) {
  Result<void> result;
  const auto request = decode(fetching(), R"({"features":[{"age":1,"income":2}]})", result);
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_NE(request->ask, nullptr);
  EXPECT_TRUE(request->ask->entities.empty());
  EXPECT_EQ(request->ask->rows, 1U);
  EXPECT_TRUE(request->many_rows);
}

TEST(EntityReader, Mistakes) {
  EXPECT_EQ(reason_of(R"({"entity_id":""})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":null})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":1.5})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":true})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":[]})"), "empty");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":[]})"), "empty");
  EXPECT_EQ(reason_of(R"({"entity_id":[["a"]]})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":["a","b","c","d","e"]})"), "too_many_rows");
  EXPECT_EQ(reason_of(R"({"entity_id":["a","b"],"features":[{}]})"), "ragged");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"agee":1}})"), "unknown_feature");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"age":{}}})"), "wrong_type");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"age":1,"age":2}})"), "duplicate_key");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":[{},3]})"), "ragged");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"age":1e999}})"), "out_of_range");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"age":99999999999999999999}})"), "");
  EXPECT_EQ(reason_of(R"({})"), "missing_features");
  EXPECT_EQ(reason_of(R"({"entity_id":")" + std::string(2000, 'x') + R"("})"), "bad_entity");
  EXPECT_EQ(reason_of(R"({"entity_id":"a","features":{"age":NaN}})"), "not_json");
}

TEST(EntityReader, BytesOfAKeyAreKept) {
  Result<void> result;
  const auto request = decode(fetching(), R"({"entity_id":"a\u0000\u00e9:\n"})", result);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(request->ask->entities[0], std::string_view("a\0\xC3\xA9:\n", 6));
}

}  // namespace
}  // namespace sluice::codecs
