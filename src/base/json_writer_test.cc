#include "base/json_writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

namespace sluice {
namespace {

template <class T>
std::string written(const T& value) {
  std::string out;
  JsonWriter(out).value(value);
  return out;
}

TEST(JsonWriter, NumbersReadBackTheSame) {
  EXPECT_EQ(written(0.1F), "0.1");
  EXPECT_EQ(written(1.0), "1.0");
  EXPECT_EQ(written(1e22), "1e+22");
  EXPECT_EQ(written(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(written(std::numeric_limits<float>::infinity()), "null");
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(written(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  for (const double value : {1.0 / 3, 5e-324, 1.7976931348623157e308, -0.0}) {
    EXPECT_EQ(std::strtod(written(value).c_str(), nullptr), value);
  }
}

TEST(JsonWriter, AnyBytesBecomeValidJson) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  for (const std::string& text :
       {every, std::string("\xED\xA0\x80"), std::string("\xC0\x80"),
        std::string("\xF4\x90\x80\x80"), std::string("caf\xC3\xA9 \xF0\x9F\x90\xA2"),
        std::string("\xE2\x82")}) {
    EXPECT_TRUE(nlohmann::json::accept(written(std::string_view(text))));
  }
  EXPECT_EQ(written("caf\xC3\xA9"), "\"caf\xC3\xA9\"");
}

TEST(JsonWriter, CommasBetweenAndOnlyBetween) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("a").begin_array().value(1).value(2).end_array();
  json.field("b", true).key("c").null().end_object();
  EXPECT_EQ(out, R"({"a":[1,2],"b":true,"c":null})");
}

}  // namespace
}  // namespace sluice
