// What the state in Redis must survive beside the contracts: a server that is not there, not the
// right one, or not what it was.

#include "state/redis.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "clients/testing/fake_redis.h"
#include "core/fleet.h"
#include "state/builtin.h"
#include "state/testing/place.h"

namespace sluice::state {
namespace {

using clients::FakePeer;
using clients::FakeRedis;
using clients::RealRedis;
using testing::opened;

class StateRedis : public ::testing::Test {
 protected:
  void start(const std::vector<std::string>& options = {}) {
    store_.reset();
    redis_ = RealRedis::start(options);
    if (!redis_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    store_ = opened(redis_->url());
  }
  BeatHeard beat() {
    BeatSaid said;
    said.replica = "a";
    const auto heard = store_->fleet()->beat(said);
    EXPECT_TRUE(heard) << (heard ? "" : heard.error().message);
    if (heard) store_->fleet()->write_under(heard->token);
    return heard.value_or(BeatHeard{});
  }
  // The error's message; its code and reason are what they must be.
  static std::string unavailable_message(const auto& answer) {
    EXPECT_FALSE(answer);
    if (answer) return "";
    EXPECT_EQ(answer.error().code, Code::kUnavailable);
    EXPECT_EQ(answer.error().reason, "state_unavailable");
    EXPECT_EQ(answer.error().message.find("127.0.0.1"), std::string::npos) << "an address";
    return answer.error().message;
  }
  std::string save_message() { return unavailable_message(store_->save("evidence", "m", "x")); }

  std::unique_ptr<RealRedis> redis_;
  std::unique_ptr<StateStore> store_;
};

TEST_F(StateRedis, AUrlThatIsNone) {
  for (const auto* bad : {"redis://", "redis://h:x", "redis://ann@h", "redis://h/x"}) {
    const auto store = open_state(bad);
    ASSERT_FALSE(store) << bad;
    EXPECT_EQ(store.error().reason, "bad_state_url");
    EXPECT_EQ(store.error().code, Code::kInvalidArgument);
  }
}

TEST_F(StateRedis, NobodyIsThereAndNobodyWaitsForItEachTime) {
  std::string url;
  {
    const FakeRedis fake({[](FakePeer&) {}});
    url = fake.url();
  }
  const auto store = opened(url);
  EXPECT_NE(unavailable_message(store->documents("release")), "");
  EXPECT_NE(unavailable_message(store->fleet()->beat({})), "");
}

// As long as the pause is, which has passed at some time.
TEST_F(StateRedis, AServerThatNeverAnswersIsAskedNowAndThen) {
  std::atomic<int> asked = 0;
  const FakeRedis fake({[&asked](FakePeer& peer) {
    ++asked;
    peer.read(std::size_t{1} << 20);
  }});
  const auto store = opened(fake.url());
  const int before = asked;
  EXPECT_EQ(before, 1) << "it was looked at";
  int calls = 0;
  for (; asked == before && calls < 1'000'000; ++calls) {
    EXPECT_NE(unavailable_message(store->saved("evidence", "m")), "");
  }
  EXPECT_GT(calls, 1) << "some did not wait";
}

TEST_F(StateRedis, ItIsThereAgain) {
  start();
  beat();
  const int port = std::stoi(redis_->port());
  redis_.reset();
  EXPECT_NE(save_message(), "");
  redis_ = RealRedis::start({}, port);
  BeatSaid said;
  said.replica = "a";
  auto heard = store_->fleet()->beat(said);
  while (!heard) heard = store_->fleet()->beat(said);
  store_->fleet()->write_under(heard->token);
  EXPECT_TRUE(store_->save("evidence", "m", "x"));
}

TEST_F(StateRedis, ProgramsThatRedisHasForgottenAreSentAgain) {
  start();
  beat();
  ASSERT_TRUE(store_->save("evidence", "m", "1"));
  EXPECT_EQ(redis_->run({"SCRIPT", "FLUSH"}), "+OK");
  ASSERT_TRUE(store_->save("evidence", "m", "2"));
  EXPECT_EQ(store_->saved("evidence", "m").value(), "2");
}

TEST_F(StateRedis, WithoutMemoryNothingIsWrittenAndItSaysSo) {
  start();
  const auto token = beat().token;
  ASSERT_TRUE(store_->put("release", "m", "x", 0, std::nullopt));
  EXPECT_EQ(redis_->run({"CONFIG", "SET", "maxmemory", "1"}), "+OK");
  EXPECT_NE(save_message().find("memory"), std::string::npos);
  const auto put = store_->put("release", "m", "y", 1, JournalEntry{"j", "m", "entry"});
  EXPECT_NE(unavailable_message(put).find("memory"), std::string::npos);
  EXPECT_NE(unavailable_message(store_->fleet()->beat({})).find("memory"), std::string::npos);
  EXPECT_EQ(store_->document("release", "m").value().value().body, "x");
  EXPECT_TRUE(store_->journal("j", "m", 9)->empty());
  EXPECT_TRUE(store_->fleet()->forget(token, 9)) << "what frees some is done";
  EXPECT_EQ(redis_->run({"CONFIG", "SET", "maxmemory", "0"}), "+OK");
  EXPECT_TRUE(store_->save("evidence", "m", "x"));
}

TEST_F(StateRedis, ACopyIsReadAndNotWritten) {
  start();
  beat();
  ASSERT_TRUE(store_->save("evidence", "m", "x"));
  EXPECT_EQ(redis_->run({"REPLICAOF", "127.0.0.1", "1"}), "+OK");
  EXPECT_NE(save_message().find("copy"), std::string::npos);
  EXPECT_EQ(store_->saved("evidence", "m").value(), "x");
}

TEST_F(StateRedis, AWrongPasswordIsSaid) {
  start({"--requirepass", "p"});
  EXPECT_NE(unavailable_message(store_->documents("release")).find("password"), std::string::npos);
}

TEST_F(StateRedis, AnotherProgramsKeysAreAnError) {
  start();
  beat();
  EXPECT_EQ(redis_->run({"SET", "sluice:{state}:saved:evidence", "x"}), "+OK");
  EXPECT_NE(save_message().find("another program"), std::string::npos);
  EXPECT_EQ(redis_->run({"HSET", "sluice:{state}:documents:release", "m", "x"}), ":1");
  const auto read = store_->document("release", "m");
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kDataLoss);
  EXPECT_EQ(read.error().reason, "bad_state");
}

TEST_F(StateRedis, DatabasesAreApart) {
  start();
  beat();
  ASSERT_TRUE(store_->save("evidence", "m", "x"));
  const auto other = opened(redis_->url() + "/1");
  EXPECT_EQ(other->saved("evidence", "m").value(), std::nullopt);
}

TEST_F(StateRedis, ATextThatIsTooLargeIsRefused) {
  start();
  beat();
  const std::string large((32 << 20) + 1, 'x');
  const SavedPiece piece{"pending", 1, large};
  const auto reason = [](const auto& answer) { return std::string(answer.error().reason); };
  EXPECT_EQ(reason(store_->put("release", "m", large, 0, std::nullopt)), "too_large");
  EXPECT_EQ(reason(store_->save("evidence", "m", "x", {&piece, 1})), "too_large");
  EXPECT_EQ(store_->saved("evidence", "m").value(), std::nullopt);
}

// All of it is in one place, whatever the names: a cluster's slot.
TEST_F(StateRedis, EveryKeyHasThePrefix) {
  start();
  beat();
  ASSERT_TRUE(store_->put("release", "{x}", "1", 0, JournalEntry{"{j}", "{x}", "e"}));
  ASSERT_TRUE(store_->put_blob("pending", "{x}", 1, "b"));
  constexpr std::string_view kOthers = R"(
    local n = 0
    for _, key in ipairs(redis.call('KEYS', '*')) do
      if string.sub(key, 1, 15) ~= 'sluice:{state}:' then n = n + 1 end
    end
    return n)";
  EXPECT_EQ(redis_->run({"EVAL", kOthers, "0"}), ":0");
}

}  // namespace
}  // namespace sluice::state
