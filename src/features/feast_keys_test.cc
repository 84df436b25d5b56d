#include "features/feast_keys.h"

#include <gtest/gtest.h>

#include "features/testing/feast_golden.h"

namespace sluice::features {
namespace {

TEST(FeastEntityKey, AsTheEncoderInPythonWritesIt) {
  std::size_t cases = 0;
  for (const auto& one : feast_golden("key")) {
    std::vector<EntityKey> keys;
    std::vector<std::string> texts;
    for (const auto& key : one["key"]) {
      const auto kind = key[1].get<std::string>();
      keys.push_back({key[0], kind == "int32"   ? KeyType::kInt32
                              : kind == "int64" ? KeyType::kInt64
                                                : KeyType::kText});
      texts.push_back(key[2]);
    }
    const std::vector<std::string_view> values(texts.begin(), texts.end());
    const auto made = feast_entity_key(keys, values, one["version"]);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(to_hex(*made), one["bytes"].get<std::string>()) << one.dump();
    ++cases;
  }
  EXPECT_EQ(cases, 25U);
}

TEST(FeastEntityKey, VersionOneHasFourBytesForAnInt64) {
  const std::vector<EntityKey> keys = {{"id", KeyType::kInt64}};
  const std::vector<std::string_view> large = {"2147483648"};
  EXPECT_EQ(feast_entity_key(keys, large, 1).error().reason, "bad_entity");
  EXPECT_TRUE(feast_entity_key(keys, large, 2));
  const std::vector<std::string_view> none = {"x"};
  EXPECT_EQ(feast_entity_key(keys, none, 3).error().reason, "bad_entity");
}

TEST(FeastName, HasAViewAndAFeature) {
  const auto name = parse_feast_name("driver_stats:conv_rate");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->view, "driver_stats");
  EXPECT_EQ(name->feature, "conv_rate");
  for (const auto* bad : {"", "conv_rate", ":conv_rate", "driver_stats:", "a:b:c"}) {
    EXPECT_EQ(parse_feast_name(bad).error().reason, "bad_config") << bad;
  }
}

}  // namespace
}  // namespace sluice::features
