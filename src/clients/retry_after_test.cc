#include "clients/retry_after.h"

#include <gtest/gtest.h>

namespace sluice::clients {
namespace {

using std::chrono::seconds;

// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110.
const auto kNow = std::chrono::system_clock::from_time_t(784'111'777);

TEST(RetryAfter, IsANumberOfSecondsOrADate) {
  EXPECT_EQ(parse_retry_after("0", kNow), seconds(0));
  EXPECT_EQ(parse_retry_after(" 120 ", kNow), seconds(120));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", kNow), seconds(0));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:50:07 GMT", kNow), seconds(30));
  EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 07:00:00 GMT", kNow), seconds(0));
}

TEST(RetryAfter, ADayIsTheMost) {
  EXPECT_EQ(parse_retry_after("99999999", kNow), seconds(86'400));
  EXPECT_EQ(parse_retry_after("Fri, 31 Dec 1999 23:59:59 GMT", kNow), seconds(86'400));
}

TEST(RetryAfter, AnythingElseIsNothing) {
  for (const auto* text : {"", "soon", "-1", "1.5", "12 s", "1994-11-06T08:49:37Z",
                           "Sun, 06 Nov 1994 08:49:37 GMT+1", "99999999999999999999999"}) {
    EXPECT_EQ(parse_retry_after(text, kNow), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice::clients
