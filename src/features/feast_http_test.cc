#include "features/feast_http.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "clients/testing/scripted_http.h"
#include "features/testing/places.h"

namespace sluice::features {
namespace {

using clients::testing::Scripted;
using clients::testing::ScriptedHttp;
using nlohmann::json;
using testing::ask;
using testing::Entity;

const std::vector<EntityKey> kKeys = {{"driver_id", KeyType::kInt64}};
constexpr std::int64_t kTen = 1'795'687'200'000'000'000;  // 2026-11-26T10:00:00Z

// One server that gives one answer, asked once.
Result<std::vector<FeatureRow>> answered(const Scripted& answer,
                                         const std::vector<WantedFeature>& features,
                                         const std::vector<Entity>& entities,
                                         std::string* request = nullptr,
                                         const std::vector<EntityKey>& keys = kKeys) {
  const ScriptedHttp server({answer});
  const auto store = testing::opened(testing::at("feast+http://" + server.authority()));
  auto rows = ask(*store, {keys, features}, entities);
  if (request) *request = server.requests().at(0);
  return rows;
}

Error fault(const Scripted& answer) {
  const auto rows = answered(answer, {{"v:a"}}, {{"1"}});
  return rows ? Error{Code::kOk, "none", "", {}} : rows.error();
}

// By feature, as Feast's own server writes it: names, then for each of them its values.
std::string by_feature(const json& names, const json& values, const std::string& status) {
  json results = json::array();
  for (const auto& list : values) {
    results.push_back(
        {{"values", list},
         {"statuses", std::vector<std::string>(list.size(), status)},
         {"event_timestamps", std::vector<std::string>(list.size(), "2026-11-26T10:00:00Z")}});
  }
  return json{{"metadata", {{"feature_names", names}}}, {"results", results}}.dump();
}

std::int64_t integer(const FeatureRow& row, std::size_t at) {
  const auto* value = row.known ? std::get_if<std::int64_t>(&row.values.at(at).data) : nullptr;
  return value ? *value : -1;
}

TEST(FeastHttp, AsksForAllEntitiesAtOnce) {
  std::string request;
  const auto rows = answered({200, by_feature({"driver_id", "v__a"}, {{7, 8}, {1, 2}}, "PRESENT")},
                             {{"v:a"}}, {{"7"}, {"8"}}, &request);
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(integer((*rows)[0], 0), 1);
  EXPECT_EQ(integer((*rows)[1], 0), 2);
  EXPECT_EQ((*rows)[1].values[0].time_ns, kTen);
  EXPECT_TRUE(request.starts_with("POST /get-online-features HTTP/1.1\r\n")) << request;
  const auto body = json::parse(request.substr(request.find("\r\n\r\n")));
  EXPECT_EQ(body["features"], json({"v:a"}));
  EXPECT_EQ(body["entities"], json({{"driver_id", {7, 8}}}));
  EXPECT_EQ(body["full_feature_names"], json(true));
}

TEST(FeastHttp, TextKeysAreTexts) {
  std::string request;
  const auto body = by_feature({"id", "v__a"}, {{"007"}, {1}}, "PRESENT");
  ASSERT_TRUE(answered({200, body}, {{"v:a"}}, {{"007"}}, &request, {{"id", KeyType::kText}}));
  EXPECT_NE(request.find(R"("entities":{"id":["007"]})"), std::string::npos) << request;
  EXPECT_FALSE(answered({200, body}, {{"v:a"}}, {{"x"}}, nullptr, kKeys)) << "x is no int64";
}

TEST(FeastHttp, OneElementForEachEntity) {
  const json body = {{"metadata", {{"feature_names", {"driver_id", "a", "b"}}}},
                     {"results",
                      {{{"values", {7, 1, 10}}, {"statuses", {"PRESENT", "PRESENT", "PRESENT"}}},
                       {{"values", {8, 2, 20}}, {"statuses", {"PRESENT", "PRESENT", "PRESENT"}}}}}};
  const auto rows = answered({200, body.dump()}, {{"v:b"}, {"v:a"}}, {{"7"}, {"8"}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(integer((*rows)[0], 0), 10);
  EXPECT_EQ(integer((*rows)[1], 0), 20);
  EXPECT_EQ(integer((*rows)[1], 1), 2);
  EXPECT_EQ((*rows)[1].values[1].time_ns, 0) << "nobody said when";
}

// As many entities as names: the lengths tell nothing.
TEST(FeastHttp, SquareAnswersAreToldApartByTheKeys) {
  const auto square = [](const json& values, const json& names = {"driver_id", "v__a"}) {
    json results = json::array();
    for (const auto& list : values) results.push_back({{"values", list}});
    return json{{"metadata", {{"feature_names", names}}}, {"results", results}}.dump();
  };
  const auto feature = answered({200, square({{7, 8}, {1, 2}})}, {{"v:a"}}, {{"7"}, {"8"}});
  ASSERT_TRUE(feature) << feature.error().message;
  EXPECT_EQ(integer((*feature)[0], 0), 1);
  EXPECT_EQ(integer((*feature)[1], 0), 2);
  const auto entity = answered({200, square({{7, 1}, {8, 2}})}, {{"v:a"}}, {{"7"}, {"8"}});
  ASSERT_TRUE(entity) << entity.error().message;
  EXPECT_EQ(integer((*entity)[0], 0), 1);
  EXPECT_EQ(integer((*entity)[1], 0), 2);
  // Without the keys it is Feast's own shape.
  const auto none = answered({200, square({{1, 2}, {3, 4}}, {"v__a", "v__b"})}, {{"v:a"}, {"v:b"}},
                             {{"7"}, {"8"}});
  ASSERT_TRUE(none) << none.error().message;
  EXPECT_EQ(integer((*none)[0], 1), 3);
}

TEST(FeastHttp, Statuses) {
  const json body = {{"metadata", {{"feature_names", {"driver_id", "v__a", "v__b"}}}},
                     {"results",
                      {{{"values", {1, 2, 3, 4}}},
                       {{"values", {nullptr, nullptr, 5, nullptr}},
                        {"statuses", {"NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "PRESENT"}},
                        {"event_timestamps",
                         {"2026-11-26T10:00:00Z", "1970-01-01T00:00:00Z", "2026-11-26T10:00:00Z",
                          "1970-01-01T00:00:00Z"}}},
                       {{"values", {true, nullptr, nullptr, nullptr}},
                        {"statuses", {"PRESENT", "NOT_FOUND", "NOT_FOUND", "NOT_FOUND"}}}}}};
  const auto rows = answered({200, body.dump()}, {{"v:a"}, {"v:b"}}, {{"1"}, {"2"}, {"3"}, {"4"}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_TRUE(std::holds_alternative<Null>((*rows)[0].values[0].data));
  EXPECT_EQ((*rows)[0].values[0].time_ns, kTen);
  EXPECT_TRUE(std::get<bool>((*rows)[0].values[1].data));
  EXPECT_FALSE((*rows)[1].known) << "nothing of it was found";
  EXPECT_EQ(integer((*rows)[2], 0), 5);
  EXPECT_EQ((*rows)[2].values[0].time_ns, kTen);
  EXPECT_TRUE(std::holds_alternative<Absent>((*rows)[2].values[1].data));
  EXPECT_TRUE(std::holds_alternative<Null>((*rows)[3].values[0].data));
  EXPECT_EQ((*rows)[3].values[0].time_ns, 0) << "1970 is no time";
}

TEST(FeastHttp, ValuesOfEveryType) {
  const json names = {"v__a", "v__b", "v__c", "v__d", "v__e", "v__f"};
  const auto values =
      json::parse(R"([[9007199254740993], [0.5], ["x"], [[1.5, null]], [["p", "q"]], [{"k": 1}]])");
  const auto rows = answered({200, by_feature(names, values, "PRESENT")},
                             {{"v:a"},
                              {"v:b", FeatureType::kText},
                              {"v:c", FeatureType::kNumber},
                              {"v:d"},
                              {"v:e"},
                              {"v:f"}},
                             {{"1"}});
  ASSERT_TRUE(rows) << rows.error().message;
  const auto& row = rows->front().values;
  EXPECT_EQ(std::get<std::int64_t>(row[0].data), 9007199254740993);
  EXPECT_EQ(std::get<std::string>(row[1].data), "0.5");
  EXPECT_TRUE(std::holds_alternative<Unreadable>(row[2].data));
  EXPECT_EQ(std::get<std::vector<double>>(row[3].data).size(), 2u);
  EXPECT_EQ(std::get<std::vector<std::string>>(row[4].data)[1], "q");
  EXPECT_TRUE(std::holds_alternative<Unreadable>(row[5].data));
}

TEST(FeastHttp, AShortNameThatTwoViewsHaveIsNoAnswer) {
  const auto body = by_feature({"a", "a"}, {{1}, {2}}, "PRESENT");
  EXPECT_FALSE(answered({200, body}, {{"v:a"}, {"w:a"}}, {{"1"}}));
  const auto full = by_feature({"w__a", "v__a"}, {{1}, {2}}, "PRESENT");
  const auto rows = answered({200, full}, {{"v:a"}, {"w:a"}}, {{"1"}});
  ASSERT_TRUE(rows) << rows.error().message;
  EXPECT_EQ(integer(rows->front(), 0), 2);
}

TEST(FeastHttp, WhatIsNoAnswerIsBadAndNotShown) {
  const std::vector<Scripted> bad = {
      {200, "<html>secret</html>"},
      {200, R"({"results": []})"},
      {200, R"({"metadata": {"feature_names": ["v__a"]}, "results": []})"},
      {200, R"({"metadata": {"feature_names": ["v__a"]}, "results": [{"values": [1, 2]}]})"},
      {200, R"({"metadata": {"feature_names": [7]}, "results": [{"values": [1]}]})"},
      {200, R"({"metadata": {"feature_names": ["v__b"]}, "results": [{"values": [1]}]})"},
      {200, R"([1, "secret"])"},
      {404, R"({"detail": "secret"})"},
      {422, "secret"}};
  for (const auto& answer : bad) {
    const auto error = fault(answer);
    EXPECT_EQ(error.reason, "bad_store") << answer.body;
    EXPECT_EQ(error.message.find("secret"), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("feature store 'default'"), std::string::npos) << error.message;
  }
  for (const int status : {500, 503, 429}) {
    EXPECT_EQ(fault({status, "secret"}).reason, "store_unavailable") << status;
  }
}

TEST(FeastHttp, ASilentServerIsATimeoutAndNoServerIsUnavailable) {
  std::string authority;
  const testing::Entity entity = {"1"};
  const std::vector<EntityValues> entities = {entity};
  std::vector<FeatureRow> rows(1);
  const auto read = [&](std::chrono::milliseconds patience) {
    const auto store = testing::opened(testing::at("feast+http://" + authority));
    const auto reader = store->reader({kKeys, {{"v:a"}}});
    const auto done = (*reader)->read(entities, rows, std::chrono::steady_clock::now() + patience);
    return done ? Error{Code::kOk, "none", "", {}} : done.error();
  };
  {
    const ScriptedHttp server({{200, "", true}});
    authority = server.authority();
    EXPECT_EQ(read(std::chrono::milliseconds(50)).reason, "store_timeout");
  }
  const auto gone = read(std::chrono::seconds(20));
  EXPECT_EQ(gone.reason, "store_unavailable");
  EXPECT_EQ(gone.message.find(authority), std::string::npos) << gone.message;
  EXPECT_EQ(read(std::chrono::milliseconds(-1)).reason, "store_timeout");
}

TEST(FeastHttp, Urls) {
  EXPECT_EQ(open_store(testing::at("feast+http:nowhere")).error().reason, "bad_store_url");
  EXPECT_TRUE(open_store(testing::at("feast+https://feast.example/path")));
  const auto store = testing::opened(testing::at("feast+http://127.0.0.1:9"));
  EXPECT_EQ(store->reader({kKeys, {{"a"}}}).error().reason, "bad_config") << "without a view";
}

}  // namespace
}  // namespace sluice::features
