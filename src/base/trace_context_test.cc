// The rules of W3C Trace Context, sections 3.2 (traceparent) and 3.3 (tracestate).
#include "base/trace_context.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kParent = "00f067aa0ba902b7";
const std::string kIds = kTrace + "-" + kParent;

TEST(TraceParent, ReadsTheExamplesOfTheRecommendation) {
  const auto sampled = parse_traceparent("00-" + kIds + "-01");
  ASSERT_TRUE(sampled);
  EXPECT_TRUE(sampled->sampled);
  EXPECT_EQ(sampled->parent, 0x00f067aa0ba902b7U);
  EXPECT_EQ(sampled->trace[0], std::byte{0x4b});
  EXPECT_EQ(sampled->trace[15], std::byte{0x36});
  const auto quiet = parse_traceparent("00-" + kIds + "-00");
  ASSERT_TRUE(quiet);
  EXPECT_FALSE(quiet->sampled);
}

struct Case {
  std::string header;
  std::string why;
};

TEST(TraceParent, RefusesWhatTheRecommendationForbids) {
  const std::string zeros(32, '0');
  const Case cases[] = {
      {"", "empty"},
      {"ff-" + kIds + "-01", "version ff is invalid"},
      {"0-" + kIds + "-01", "a version has two digits"},
      {"0g-" + kIds + "-01", "a version is hexadecimal"},
      {"0A-" + kIds + "-01", "a version is in lower case"},
      {"00-" + zeros + "-" + kParent + "-01", "trace-id of zeros"},
      {"00-" + kTrace + "-" + zeros.substr(16) + "-01", "parent-id of zeros"},
      {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" + kParent + "-01", "trace-id in upper case"},
      {"00-" + kTrace + "-00F067AA0BA902B7-01", "parent-id in upper case"},
      {"00-" + kIds + "-0A", "flags in upper case"},
      {"00-" + kTrace.substr(1) + "-" + kParent + "-01", "trace-id too short"},
      {"00-" + kTrace + "0-" + kParent + "-01", "trace-id too long"},
      {"00-" + kTrace + "-" + kParent.substr(1) + "-01", "parent-id too short"},
      {"00-" + kTrace + "-" + kParent + "0-01", "parent-id too long"},
      {"00-" + kIds, "no flags"},
      {"00-" + kIds + "-1", "flags too short"},
      {"00-" + kIds + "-001", "flags too long"},
      {"00-" + kIds + "-01-", "version 00 ends with the flags"},
      {"00-" + kIds + "-01-what-the-future-will-be-like", "version 00 ends with the flags"},
      {"00-" + kIds + "-0x", "flags are hexadecimal"},
      {"00_" + kIds + "-01", "no dash after the version"},
      {"00-" + kTrace + "_" + kParent + "-01", "no dash after the trace-id"},
      {"00-" + kIds + "_01", "no dash after the parent-id"},
      {"00-" + kTrace.substr(1) + "." + "-" + kParent + "-01", "a dot in the trace-id"},
      {"cc-" + kIds + "-01.what", "after the flags of a later version comes a dash"},
      {"cc-" + kIds + "-", "a later version is no shorter"},
  };
  for (const auto& one : cases) EXPECT_EQ(parse_traceparent(one.header), std::nullopt) << one.why;
}

TEST(TraceParent, ReadsWhatItKnowsOfLaterVersions) {
  const auto known = parse_traceparent("00-" + kIds + "-01");
  EXPECT_EQ(parse_traceparent("01-" + kIds + "-01"), known);
  EXPECT_EQ(parse_traceparent("cc-" + kIds + "-01-what-the-future-will-be-like"), known);
  EXPECT_EQ(parse_traceparent("cc-" + kIds + "-01-"), known);
  EXPECT_EQ(parse_traceparent("fe-" + kIds + "-09"), known);
}

TEST(TraceParent, OnlyTheLowestFlagSaysSampled) {
  for (const auto& [flags, sampled] :
       {std::pair("00", false), {"02", false}, {"fe", false}, {"03", true}, {"ff", true}}) {
    const auto read = parse_traceparent("00-" + kIds + "-" + flags);
    ASSERT_TRUE(read) << flags;
    EXPECT_EQ(read->sampled, sampled) << flags;
  }
}

TEST(TraceParent, SpacesAroundAHeaderAreNotItsOwn) {
  EXPECT_TRUE(parse_traceparent(" \t00-" + kIds + "-01 "));
  EXPECT_FALSE(parse_traceparent("00- " + kIds + "-01"));
}

TEST(TraceParent, IsPrintedAsVersion00) {
  EXPECT_EQ(print_traceparent(*parse_traceparent("cc-" + kIds + "-09-more")), "00-" + kIds + "-01");
  EXPECT_EQ(print_traceparent(*parse_traceparent("00-" + kIds + "-02")), "00-" + kIds + "-00");
}

TEST(TraceState, KeepsMembersInTheirOrder) {
  EXPECT_EQ(clean_tracestate("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
  EXPECT_EQ(clean_tracestate(" rojo=1 ,\tcongo=2,, ,"), "rojo=1,congo=2");
  EXPECT_EQ(clean_tracestate("fw529a3039@dt=a b,1a-2f@foo=:;<>~"),
            "fw529a3039@dt=a b,1a-2f@foo=:;<>~");
  EXPECT_EQ(clean_tracestate("a= b"), "a= b");
  EXPECT_EQ(clean_tracestate(""), "");
  EXPECT_EQ(clean_tracestate(" , "), "");
}

TEST(TraceState, IsLeftOutWhereItIsNotValid) {
  std::string many;
  for (int i = 0; i < 33; ++i) many += "k" + std::to_string(i) + "=v,";
  const std::string long_key(257, 'k');
  for (const std::string& list :
       {std::string("Foo=1"), std::string("foo"), std::string("=1"), std::string("foo="),
        std::string("foo=a=b"), std::string("foo=\x80"), std::string("foo=a\tb"),
        std::string("foo =1"), std::string("_a=1"), std::string("foo=1,bar"),
        std::string("foo=1,foo=2"), many, long_key + "=1", "foo=" + std::string(257, 'v')}) {
    EXPECT_EQ(clean_tracestate(list), "") << list;
  }
}

TEST(TraceState, TakesTheMostThatIsAllowed) {
  std::string many;
  for (int i = 0; i < 32; ++i) many += (i == 0 ? "k" : ",k") + std::to_string(i) + "=v";
  EXPECT_EQ(clean_tracestate(many), many);
  const auto longest = std::string(256, 'k') + "=" + std::string(255, 'v');
  EXPECT_EQ(longest.size(), kMostTraceState);
  EXPECT_EQ(clean_tracestate(longest), longest);
}

TEST(TraceState, IsCutByWholeMembersLongOnesFirst) {
  const auto member = [](char key, std::size_t size) {
    return std::string(1, key) + "=" + std::string(size - 2, 'v');
  };
  // The long one goes, although others come after it.
  EXPECT_EQ(clean_tracestate(member('a', 100) + "," + member('b', 250) + "," + member('c', 120) +
                             "," + member('d', 100)),
            member('a', 100) + "," + member('c', 120) + "," + member('d', 100));
  // None is long: the last go.
  EXPECT_EQ(
      clean_tracestate(member('a', 128) + "," + member('b', 128) + "," + member('c', 128) + "," +
                       member('d', 125) + "," + member('e', 8)),
      member('a', 128) + "," + member('b', 128) + "," + member('c', 128) + "," + member('d', 125));
}

}  // namespace
}  // namespace sluice
