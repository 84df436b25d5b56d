// What replicas may rely on when they speak through a store, whichever it is: who leads, what is
// written, and what happens when the store is not what it was.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "state/testing/fleet_contract.h"

namespace sluice::state {
namespace {

using namespace std::chrono_literals;
using testing::FleetContract;
using testing::reason;
using testing::SharedStore;

class FleetLease : public FleetContract {};
INSTANTIATE_TEST_SUITE_P(Stores, FleetLease, ::testing::ValuesIn(testing::kFleetKinds),
                         testing::fleet_kind_name);

// --- the lease

TEST_P(FleetLease, TheFirstThatWantsTheLeaseLeads) {
  auto a = member("a");
  auto b = member("b");
  a.says().wants_lease = false;
  EXPECT_EQ(a.beat().leader, "") << "nobody wants it";
  const auto of_b = b.beat();
  EXPECT_EQ(of_b.leader, "b");
  EXPECT_GT(of_b.token, 0U);
  EXPECT_GT(of_b.now, 1'600'000'000'000);
  EXPECT_FALSE(of_b.life.empty());
  a.says().wants_lease = true;
  const auto of_a = a.beat();
  EXPECT_EQ(of_a.leader, "b");
  EXPECT_EQ(of_a.token, of_b.token);
  EXPECT_EQ(of_a.life, of_b.life);
}

TEST_P(FleetLease, ALeaseThatIsKeptStays) {
  auto a = member("a");
  auto b = member("b");
  const auto token = a.lead();
  for (int i = 0; i < 4; ++i) {
    place_->advance(Fleet::kLease / 2);
    EXPECT_EQ(a.beat().token, token);
    EXPECT_EQ(b.beat().leader, "a");
  }
}

TEST_P(FleetLease, ALeaseThatIsNotKeptIsTakenOverWithAHigherToken) {
  auto a = member("a");
  auto b = member("b");
  const auto first = a.lead();
  place_->advance(Fleet::kLease);
  const auto second = b.lead();
  EXPECT_GT(second, first);
  const auto of_a = a.beat();
  EXPECT_EQ(of_a.leader, "b");
  EXPECT_TRUE(of_a.replicas.empty()) << "only the leader hears who is there";
}

TEST_P(FleetLease, ALeaseIsGivenUpByNotWantingItOrByLeaving) {
  auto a = member("a");
  auto b = member("b");
  const auto first = a.lead();
  a.says().wants_lease = false;
  EXPECT_EQ(a.beat().leader, "");
  const auto second = b.lead();
  EXPECT_GT(second, first);
  ASSERT_TRUE(b.fleet().leave("b"));
  EXPECT_EQ(a.beat().leader, "");
  a.says().wants_lease = true;
  EXPECT_GT(a.lead(), second);
  EXPECT_TRUE(b.fleet().leave("b")) << "nothing is there to be left";
  EXPECT_EQ(a.beat().leader, "a") << "another one's lease stays";
}

// --- fencing

TEST_P(FleetLease, NothingIsWrittenWithoutALease) {
  auto a = member("a");
  auto& store = a.store();
  a.beat();
  const SavedPiece piece{"pending", 1, "x"};
  EXPECT_EQ(reason(store.put("release", "m", "x", 0, std::nullopt)), "fenced");
  EXPECT_EQ(reason(store.remove("release", "m", 0, JournalEntry{"j", "m", "x"})), "fenced");
  EXPECT_EQ(reason(store.save("evidence", "m", "x", {&piece, 1})), "fenced");
  EXPECT_EQ(reason(store.forget("evidence", "m")), "fenced");
  EXPECT_EQ(reason(store.put_blob("pending", "m", 1, "x")), "fenced");
  EXPECT_EQ(reason(store.drop_blobs("pending", "m", 1)), "fenced");
  EXPECT_EQ(store.document("release", "m").value(), std::nullopt);
  EXPECT_TRUE(store.journal("j", "m", 9)->empty());
  EXPECT_EQ(store.saved("evidence", "m").value(), std::nullopt);
  EXPECT_TRUE(store.blobs("pending", "m")->empty()) << "the piece of what was not saved";
}

TEST_P(FleetLease, WhoeverLostTheLeaseWritesNothingAnyMore) {
  auto a = member("a");
  auto b = member("b");
  const auto first = a.lead();
  ASSERT_TRUE(a.store().put("release", "m", "of a", 0, std::nullopt));
  place_->advance(Fleet::kLease);
  EXPECT_TRUE(a.store().save("evidence", "m", "late")) << "nobody else has it yet";
  const auto second = b.lead();
  const auto late = a.store().put("release", "m", "late", 1, std::nullopt);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kAborted);
  EXPECT_EQ(late.error().reason, "fenced");
  EXPECT_EQ(reason(a.fleet().publish(first, "m", "late")), "fenced");
  EXPECT_EQ(reason(a.fleet().events(first, 0)), "fenced");
  EXPECT_EQ(reason(a.fleet().forget(first, 9)), "fenced");
  EXPECT_EQ(reason(a.fleet().publish(0, "m", "late")), "fenced");
  EXPECT_EQ(a.store().document("release", "m").value().value().body, "of a") << "all may read";
  EXPECT_EQ(b.store().put("release", "m", "of b", 1, std::nullopt).value(), 2U);
  b.fleet().write_under(0);
  EXPECT_EQ(reason(b.store().save("evidence", "m", "x")), "fenced");
  EXPECT_TRUE(b.fleet().publish(second, "m", "x")) << "which has its own token";
}

// --- what all use

TEST_P(FleetLease, WhoeverSaysATextFirstHasSaidItForAll) {
  auto a = member("a");
  auto b = member("b");
  EXPECT_EQ(a.fleet().agree("key", std::string("\0x", 2)).value(), std::string("\0x", 2));
  EXPECT_EQ(b.fleet().agree("key", "another").value(), std::string("\0x", 2));
  EXPECT_EQ(b.fleet().agree("name", "another").value(), "another") << "nobody has to lead";
}

// --- who is there

TEST_P(FleetLease, TheLeaderHearsWhoIsThereAndWhatTheyFollow) {
  auto a = member("a");
  auto b = member("b");
  auto c = member("c");
  const auto token = a.lead();
  ASSERT_TRUE(a.fleet().publish(token, "m", "1"));
  b.says().heard = 1;
  b.beat();
  c.beat();
  const auto heard = a.beat();
  ASSERT_EQ(heard.replicas.size(), 3U);
  EXPECT_EQ(heard.replicas[0].name, "a") << "itself too; by name";
  EXPECT_EQ(heard.replicas[1].name, "b");
  EXPECT_EQ(heard.replicas[1].heard, 1U);
  EXPECT_EQ(heard.replicas[2].heard, 0U);
  EXPECT_LT(heard.replicas[2].silent, 60s);
  ASSERT_TRUE(c.fleet().leave("c"));
  EXPECT_EQ(a.beat().replicas.size(), 2U);
}

TEST_P(FleetLease, AReplicaThatDoesNotBeatIsGone) {
  auto a = member("a");
  auto b = member("b");
  a.lead();
  b.beat();
  place_->advance(Fleet::kGone - 10s);
  const auto before = a.beat();
  ASSERT_EQ(before.replicas.size(), 2U);
  EXPECT_LT(before.replicas[0].silent, 5s);
  EXPECT_GE(before.replicas[1].silent, Fleet::kGone - 10s);
  place_->advance(11s);
  const auto heard = a.beat();
  ASSERT_EQ(heard.replicas.size(), 1U);
  EXPECT_EQ(heard.replicas[0].name, "a");
  b.beat();
  EXPECT_EQ(a.beat().replicas.size(), 2U) << "it is back";
}

// --- whatever comes

TEST_P(FleetLease, BytesAreKeptAsTheyAre) {
  std::string odd;
  for (int i = 0; i < 256; ++i) odd += static_cast<char>(i);
  odd += "\r\n$5\r\n{}:*";
  auto a = member("a");
  auto b = member(odd);
  const auto token = a.lead();
  b.event(odd);
  b.says().questions = {{odd, odd, odd}};
  b.beat();
  EXPECT_EQ(a.fleet().events(token, 0)->at(0).bytes, odd);
  EXPECT_EQ(a.fleet().events(token, 0)->at(0).replica, odd);
  const auto heard = a.beat();
  EXPECT_EQ(heard.questions.at(0).from, odd);
  EXPECT_EQ(heard.questions.at(0).id, odd);
  EXPECT_EQ(heard.questions.at(0).text, odd);
  EXPECT_TRUE(std::ranges::any_of(heard.replicas, [&](auto& one) { return one.name == odd; }));
  ASSERT_TRUE(a.fleet().publish(token, odd, odd));
  a.says().answers = {{odd, odd, odd}, {"a", "", ""}};
  EXPECT_EQ(a.beat().answers.at(0).text, "");
  const auto told = b.beat();
  EXPECT_EQ(told.published.at(0).model, odd);
  EXPECT_EQ(told.published.at(0).text, odd);
  EXPECT_EQ(told.answers.at(0).id, odd);
}

TEST_P(FleetLease, AStoreThatLostEverythingHasANewLife) {
  auto a = member("a");
  auto b = member("b");
  const auto first = a.lead();
  a.event("1").beat();
  ASSERT_TRUE(a.fleet().publish(first, "m", "x"));
  ASSERT_TRUE(a.store().put("release", "m", "x", 0, std::nullopt));
  const auto before = b.beat();
  place_->lose_everything();
  EXPECT_EQ(reason(a.store().save("evidence", "m", "x")), "fenced") << "nobody leads";
  const auto after = b.beat();
  EXPECT_NE(after.life, before.life);
  EXPECT_EQ(after.leader, "b");
  EXPECT_GT(after.token, first) << "or the old leader could still write";
  EXPECT_TRUE(after.published.empty());
  EXPECT_EQ(bytes_of(b, after.token), "");
  EXPECT_EQ(reason(a.store().save("evidence", "m", "x")), "fenced");
  EXPECT_TRUE(b.store().documents("release")->empty());
  EXPECT_EQ(a.beat().life, after.life);
}

TEST_P(FleetLease, AThousandReplicas) {
  auto leader = member("leader");
  const auto token = leader.lead();
  ASSERT_TRUE(leader.fleet().publish(token, "m", "x"));
  auto other = member("other");
  for (int round = 1; round <= 3; ++round) {
    for (int i = 0; i < 1000; ++i) {
      if (i % 100 == 0) leader.beat();  // or its lease may end meanwhile
      BeatSaid said;
      said.replica = "replica " + std::to_string(i);
      said.heard = round == 1 ? 0 : 1;
      said.sequence = static_cast<std::uint64_t>(round);
      said.event = "x";
      const auto heard = other.fleet().beat(said);
      ASSERT_TRUE(heard) << reason(heard);
      EXPECT_EQ(heard->published.size(), round == 1 ? 1U : 0U);
    }
    EXPECT_EQ(leader.beat().replicas.size(), 1001U);
  }
  EXPECT_EQ(bytes_of(leader, token).size(), 2 * 3000U - 1);
}

TEST_P(FleetLease, OfManyThreadsOneLeadsAndNoEventIsLost) {
  auto leader = member("leader");
  const auto token = leader.lead();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([this, i] {
        auto one = member("replica " + std::to_string(i));
        for (int j = 0; j < 50; ++j) EXPECT_EQ(one.event("x").beat().leader, "leader");
      });
    }
  }
  EXPECT_EQ(bytes_of(leader, token).size(), 2 * 200U - 1);
}

// --- what only the one in memory can do

TEST(SharedStore, AWayThatIsCutAndRestored) {
  SharedStore shared;
  const auto a = shared.open("a");
  const auto b = shared.open("b");
  BeatSaid said;
  said.replica = "x";
  ASSERT_TRUE(a->fleet()->beat(said));
  shared.cut("a");
  said.event = "1";
  said.sequence = 1;
  EXPECT_EQ(reason(a->fleet()->beat(said)), "state_unavailable");
  EXPECT_EQ(reason(a->documents("release")), "state_unavailable");
  EXPECT_TRUE(b->documents("release"));
  shared.restore("a");
  said.event.clear();
  const auto heard = a->fleet()->beat(said);
  ASSERT_TRUE(heard);
  EXPECT_TRUE(a->fleet()->events(heard->token, 0)->empty()) << "it did not arrive";
}

TEST(SharedStore, RepliesThatAreLost) {
  SharedStore shared;
  const auto a = shared.open("a");
  shared.lose_replies("a");
  BeatSaid said;
  said.replica = "x";
  said.event = "1";
  said.sequence = 1;
  EXPECT_EQ(reason(a->fleet()->beat(said)), "state_unavailable");
  EXPECT_EQ(reason(a->fleet()->beat(said)), "state_unavailable");
  shared.restore("a");
  const auto heard = a->fleet()->beat(said);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->leader, "x");
  EXPECT_EQ(a->fleet()->events(heard->token, 0)->size(), 1U) << "kept once";
}

}  // namespace
}  // namespace sluice::state
