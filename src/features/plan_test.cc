#include "features/plan.h"

#include <gtest/gtest.h>

namespace sluice::features {
namespace {

Signature table(std::int64_t width, std::vector<std::string> columns = {}) {
  Signature out;
  out.inputs.push_back({"x", DType::kFloat32, {-1, width}, Role::kUnknown});
  out.columns = std::move(columns);
  return out;
}

FeatureDefinition ratio(std::string name, std::string a, std::string b) {
  FeatureDefinition out;
  out.name = std::move(name);
  out.ratio = {std::move(a), std::move(b)};
  return out;
}

std::string problem_of(const FeatureOptions& options, Signature signature, bool declared = false) {
  const auto plan = Plan::make(options, signature, declared);
  return plan ? "" : plan.error().message;
}

TEST(Plan, FeaturesInOrderNameTheColumns) {
  FeatureOptions options;
  options.names = {"age", "income"};
  Signature signature = table(2);
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(signature.columns, options.names);
  ASSERT_EQ(plan->lookups.size(), 1U);
  EXPECT_EQ(plan->lookups[0].features[1].name, "income");
  EXPECT_EQ(plan->columns[1].offset, 1U);
}

TEST(Plan, ColumnsWithNamesGetTheFeaturesOfTheseNames) {
  FeatureOptions options;
  options.names = {"income", "age", "city"};  // another order, and one that this version ignores
  Signature signature = table(2, {"age", "income"});
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->names[plan->columns[0].feature], "age");
  EXPECT_EQ(plan->names[plan->columns[1].feature], "income");
}

TEST(Plan, NamesOfTheModelThatSayNothingAreTakenInOrder) {
  FeatureOptions options;
  options.names = {"age", "income"};
  Signature signature = table(2, {"f0", "f1"});
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->names[plan->columns[0].feature], "age");
  EXPECT_EQ(signature.columns, options.names);
}

TEST(Plan, AnOrderIsNotGuessed) {
  FeatureOptions options;
  options.names = {"user_age", "income"};
  EXPECT_NE(problem_of(options, table(2, {"age", "income"})).find("does not have 'age'"),
            std::string::npos);
  // model.yaml's own `inputs:` must agree.
  EXPECT_NE(problem_of(options, table(2, {"a", "b"}), true), "");
  EXPECT_NE(problem_of(options, table(3)).find("takes 3"), std::string::npos);
}

TEST(Plan, MadeFeaturesComeBehindWhatTheyAreMadeOf) {
  FeatureOptions options;
  options.names = {"deep", "debt"};
  options.define = {ratio("deep", "shallow", "income"), ratio("shallow", "debt", "income")};
  Signature signature = table(2);
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->names, (std::vector<std::string>{"debt", "income", "shallow", "deep"}));
  EXPECT_EQ(plan->sources.size(), 2U);
  EXPECT_EQ(plan->names[plan->columns[0].feature], "deep");
}

TEST(Plan, MistakesAreNamed) {
  FeatureOptions options;
  options.names = {"a", "b"};
  options.define = {ratio("a", "b", "b"), ratio("b", "a", "a")};
  EXPECT_NE(problem_of(options, table(2)).find("made of itself"), std::string::npos);
  options.define = {ratio("c", "a", "b")};
  EXPECT_NE(problem_of(options, table(2)).find("used by nothing"), std::string::npos);
  FeatureDefinition elsewhere;
  elsewhere.name = "a";
  elsewhere.entity = {"shop"};
  options.define = {elsewhere};
  EXPECT_NE(problem_of(options, table(2)).find("features.entity does not have"), std::string::npos);
  options.names = {};
  EXPECT_NE(problem_of(options, table(2)).find("names is empty"), std::string::npos);
}

TEST(Plan, FeaturesOfOtherKeysAreOtherLookups) {
  FeatureOptions options;
  options.entity.list = {{"user", KeyType::kText}, {"shop", KeyType::kInt64}};
  options.names = {"age", "rating", "visits"};
  FeatureDefinition age, rating;
  age.name = "age";
  age.entity = {"user"};
  rating.name = "rating";
  rating.entity = {"shop"};
  rating.from = "shops:rating";
  options.define = {age, rating};
  Signature signature = table(3);
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->lookups.size(), 3U);
  EXPECT_EQ(plan->lookups[1].keys[0].name, "shop");
  EXPECT_EQ(plan->lookups[1].features[0].name, "shops:rating");
  EXPECT_EQ(plan->lookups[2].keys.size(), 2U);
}

TEST(Plan, InputsOfTheirOwnAndLists) {
  FeatureOptions options;
  options.names = {"embedding", "city"};
  Signature signature;
  signature.inputs.push_back({"city", DType::kString, {-1, 1}, Role::kUnknown});
  signature.inputs.push_back({"embedding", DType::kFloat32, {-1, 4}, Role::kUnknown});
  const auto plan = Plan::make(options, signature, false);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->columns[1].width, 4U);
  EXPECT_EQ(plan->lookups[0].features[1].type, FeatureType::kText);
}

}  // namespace
}  // namespace sluice::features
