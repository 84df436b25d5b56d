// What every store must keep to.

#include "core/state_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "base/testing/certificates.h"
#include "clients/testing/fake_redis.h"
#include "core/fleet.h"
#include "state/builtin.h"
#include "state/testing/place.h"

namespace sluice::state {
namespace {

using testing::count_up;
using testing::decision;
using testing::Directory;
using testing::opened;

constexpr auto kHighest = std::numeric_limits<std::uint64_t>::max();

// A scheme of builtin.cc, and where a test opens such a store; "" stands for a fresh directory, and
// a scheme for a server of its own.
struct Store {
  std::string_view scheme;
  const char* name;
  const char* where;
  bool lasts;  // what is opened again has what was there
};
constexpr Store kStores[] = {{"", "directory", "", true},
                             {"", "memory", ":memory:", false},
                             {"redis", "redis", "redis", true},
                             {"rediss", "redis_over_tls", "rediss", true},
                             {"redis+sentinel", "redis_behind_sentinels", "sentinel", true}};

TEST(StateStores, EachIsTested) {
  for (const auto scheme : state_schemes()) {
    EXPECT_TRUE(std::ranges::any_of(kStores, [&](auto& store) { return store.scheme == scheme; }))
        << "'" << scheme << "' is not in this test's table";
  }
}

class StateContract : public ::testing::TestWithParam<Store> {
 protected:
  void SetUp() override {
    if (GetParam().scheme.starts_with("redis")) {
      start_redis();
      if (!redis_) FAIL() << "no redis-server on PATH; ./dev setup installs what tests need";
    }
    open();
  }
  // As the scheme has it.
  void start_redis() {
    if (GetParam().scheme == "rediss") {
      const auto pair = certificates_.issue("IP:127.0.0.1");
      redis_ = clients::RealRedis::start({"--tls-port", "any", "--tls-cert-file", pair.certificate,
                                          "--tls-key-file", pair.key, "--tls-ca-cert-file",
                                          certificates_.authority(), "--tls-auth-clients", "no"});
      if (!redis_) return;
      url_ = "rediss://127.0.0.1:" + redis_->tls_port() + "?cacert=" + certificates_.authority();
      return;
    }
    redis_ = clients::RealRedis::start();
    if (!redis_) return;
    url_ = redis_->url();
    if (GetParam().scheme == "redis") return;
    sentinel_ = clients::RealRedis::start_sentinel("m", redis_->port());
    url_ = "redis+sentinel://127.0.0.1:" + sentinel_->port() + "/m";
  }

  std::string where() const {
    if (redis_) return url_;
    return *GetParam().where ? GetParam().where : directory_.text();
  }
  // Where replicas share it, this is the one that leads.
  void open() {
    store_ = opened(where());
    if (store_->fleet() == nullptr) return;
    BeatSaid said;
    said.replica = "this one";
    const auto heard = store_->fleet()->beat(said);
    ASSERT_TRUE(heard) << heard.error().message;
    store_->fleet()->write_under(heard->token);
  }
  // Closed and opened again, where that leaves anything.
  void reopen() {
    if (!GetParam().lasts) return;
    store_.reset();
    open();
  }

  std::uint64_t put(std::string_view key, std::string_view body, std::uint64_t expected) {
    const auto revision = store_->put("release", key, body, expected, std::nullopt);
    return revision ? *revision : 0;
  }
  std::string reason(std::uint64_t expected) {
    const auto answer = store_->put("release", "fraud", "x", expected, decision("refused"));
    return answer ? "put" : std::string(answer.error().reason);
  }
  std::vector<std::string> decisions(std::size_t limit = 100) {
    return store_->journal("decisions", "fraud", limit).value();
  }

  const Directory directory_;
  sluice::testing::Certificates certificates_;
  std::unique_ptr<clients::RealRedis> redis_;
  std::unique_ptr<clients::RealRedis> sentinel_;
  std::string url_;
  std::unique_ptr<StateStore> store_;
};
INSTANTIATE_TEST_SUITE_P(Stores, StateContract, ::testing::ValuesIn(kStores),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(StateContract, NothingIsThereAtFirst) {
  EXPECT_TRUE(store_->documents("release")->empty());
  EXPECT_EQ(store_->document("release", "fraud").value(), std::nullopt);
  EXPECT_EQ(store_->saved("evidence", "fraud").value(), std::nullopt);
  EXPECT_TRUE(store_->blobs("pending", "fraud")->empty());
  EXPECT_TRUE(decisions().empty());
  EXPECT_TRUE(store_->forget("evidence", "fraud"));
  EXPECT_TRUE(store_->drop_blobs("pending", "fraud", 9));
}

TEST_P(StateContract, APutNeedsTheRevisionThatIsThere) {
  EXPECT_EQ(put("fraud", "a", 0), 1U);
  EXPECT_EQ(reason(0), "revision_conflict") << "it is there already";
  EXPECT_EQ(reason(2), "revision_conflict");
  EXPECT_EQ(put("fraud", "b", 1), 2U);
  EXPECT_EQ(reason(1), "revision_conflict") << "it has gone on";
  const auto there = store_->document("release", "fraud").value();
  ASSERT_TRUE(there);
  EXPECT_EQ(there->key, "fraud");
  EXPECT_EQ(there->revision, 2U);
  EXPECT_EQ(there->body, "b");
  EXPECT_TRUE(decisions().empty()) << "what was refused left an entry";
}

TEST_P(StateContract, AConflictSaysWhatIsThere) {
  put("fraud", "a", 0);
  const auto answer = store_->put("release", "fraud", "b", 7, std::nullopt);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kAborted);
  EXPECT_NE(answer.error().message.find("revision 1"), std::string::npos);
  EXPECT_NE(answer.error().message.find("revision 7"), std::string::npos);
}

TEST_P(StateContract, DocumentsAreApartByKindAndSortedByKey) {
  put("b", "1", 0);
  put("a", "2", 0);
  ASSERT_TRUE(store_->put("other", "a", "3", 0, std::nullopt));
  const auto all = store_->documents("release").value();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].key, "a");
  EXPECT_EQ(all[0].body, "2");
  EXPECT_EQ(all[1].key, "b");
  EXPECT_EQ(all[1].revision, 1U);
}

TEST_P(StateContract, ARevisionNeverFallsAlsoAfterRemoving) {
  put("fraud", "a", 0);
  put("fraud", "b", 1);
  const auto early = store_->remove("release", "fraud", 1, std::nullopt);
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().reason, "revision_conflict");
  ASSERT_TRUE(store_->remove("release", "fraud", 2, std::nullopt));
  EXPECT_EQ(store_->document("release", "fraud").value(), std::nullopt);
  EXPECT_TRUE(store_->documents("release")->empty());
  EXPECT_EQ(reason(2), "revision_conflict") << "it is not there any more";
  reopen();
  EXPECT_EQ(put("fraud", "c", 0), 3U);
  EXPECT_EQ(put("other", "c", 0), 1U) << "each key counts alone";
}

TEST_P(StateContract, RemovingWhatIsNotThereOnlyAppends) {
  EXPECT_TRUE(store_->remove("release", "fraud", 0, decision("removed")));
  EXPECT_EQ(decisions(), std::vector<std::string>{"removed"});
  EXPECT_EQ(put("fraud", "a", 0), 1U);
}

TEST_P(StateContract, AnEntryComesWithItsDocumentOrNotAtAll) {
  ASSERT_TRUE(store_->put("release", "fraud", "a", 0, decision("start")));
  EXPECT_FALSE(store_->put("release", "fraud", "b", 0, decision("not this")));
  EXPECT_FALSE(store_->remove("release", "fraud", 9, decision("nor this")));
  ASSERT_TRUE(store_->remove("release", "fraud", 1, decision("end")));
  reopen();
  EXPECT_EQ(decisions(), (std::vector<std::string>{"start", "end"}));
}

TEST_P(StateContract, AJournalGivesTheNewestOldestFirst) {
  for (int i = 0; i < 20; ++i) {
    const auto revision = static_cast<std::uint64_t>(i);
    ASSERT_TRUE(store_->put("release", "fraud", "", revision, decision(std::to_string(i))));
  }
  ASSERT_TRUE(
      store_->put("release", "b", "", 0, JournalEntry{"decisions", "b", "of another model"}));
  ASSERT_TRUE(
      store_->put("release", "c", "", 0, JournalEntry{"other", "fraud", "of another kind"}));
  EXPECT_EQ(decisions(3), (std::vector<std::string>{"17", "18", "19"}));
  EXPECT_TRUE(decisions(0).empty());
  EXPECT_EQ(decisions(kHighest).size(), 20U);
}

TEST_P(StateContract, WhatIsSavedIsReplacedAndForgotten) {
  ASSERT_TRUE(store_->save("evidence", "fraud", "1"));
  ASSERT_TRUE(store_->save("evidence", "fraud", "2"));
  ASSERT_TRUE(store_->save("evidence", "other", "3"));
  reopen();
  EXPECT_EQ(store_->saved("evidence", "fraud").value(), "2");
  ASSERT_TRUE(store_->forget("evidence", "fraud"));
  EXPECT_EQ(store_->saved("evidence", "fraud").value(), std::nullopt);
  EXPECT_EQ(store_->saved("evidence", "other").value(), "3");
}

TEST_P(StateContract, WhatIsSavedComesWithItsPieces) {
  ASSERT_TRUE(store_->put_blob("pending", "fraud", 1, "old"));
  const SavedPiece pieces[] = {{"pending", 1, "new"}, {"pending", 2, ""}, {"later", 9, "x"}};
  ASSERT_TRUE(store_->save("evidence", "fraud", "1", pieces));
  reopen();
  EXPECT_EQ(store_->saved("evidence", "fraud").value(), "1");
  const auto pending = store_->blobs("pending", "fraud").value();
  ASSERT_EQ(pending.size(), 2U);
  EXPECT_EQ(pending[0].bytes, "new") << "one that is there already is replaced";
  EXPECT_EQ(pending[1].bytes, "");
  EXPECT_EQ(store_->blobs("later", "fraud")->at(0).number, 9U);
  EXPECT_TRUE(store_->blobs("pending", "other")->empty());
}

TEST_P(StateContract, BlobsComeAndGoByNumber) {
  for (const std::uint64_t number : {kHighest, std::uint64_t{1} << 63, std::uint64_t{7},
                                     (std::uint64_t{1} << 63) - 1, std::uint64_t{0}}) {
    ASSERT_TRUE(store_->put_blob("pending", "fraud", number, "old"));
    ASSERT_TRUE(store_->put_blob("pending", "fraud", number, std::to_string(number)));
  }
  ASSERT_TRUE(store_->put_blob("pending", "other", 1, "x"));
  reopen();
  const auto all = store_->blobs("pending", "fraud").value();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(all, {}, &StoredBlob::number));
  for (const auto& blob : all) EXPECT_EQ(blob.bytes, std::to_string(blob.number));
  ASSERT_TRUE(store_->drop_blobs("pending", "fraud", kHighest));
  const auto left = store_->blobs("pending", "fraud").value();
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].number, kHighest);
  EXPECT_EQ(store_->blobs("pending", "other")->size(), 1U);
}

TEST_P(StateContract, AnythingIsKeptAsItIs) {
  const std::string odd("a\0'\xff\n;--", 8);
  const std::string large(3 << 20, 'x');
  for (const auto& text : {odd, large, std::string()}) {
    ASSERT_TRUE(store_->put("odd", text, text, 0, JournalEntry{"odd", text, text}));
    ASSERT_TRUE(store_->save("odd", text, text));
    ASSERT_TRUE(store_->put_blob("odd", text, 1, text));
  }
  reopen();
  for (const auto& text : {odd, large, std::string()}) {
    EXPECT_TRUE(store_->document("odd", text).value().value().body == text);
    EXPECT_TRUE(store_->journal("odd", text, 9).value() == std::vector<std::string>{text});
    EXPECT_TRUE(store_->saved("odd", text).value() == text);
    EXPECT_TRUE(store_->blobs("odd", text)->at(0).bytes == text);
  }
}

TEST_P(StateContract, OfTwoWritersOneWins) {
  std::atomic<int> faults = 0;
  {
    std::vector<std::jthread> writers;
    for (int i = 0; i < 4; ++i) {
      writers.emplace_back([&] { faults += count_up(*store_, 25) ? 0 : 1; });
    }
  }
  EXPECT_EQ(faults, 0);
  const auto there = store_->document("release", "counter").value().value();
  EXPECT_EQ(there.body, "100") << "a change was lost";
  EXPECT_EQ(there.revision, 100U);
  EXPECT_EQ(decisions().size(), 100U);
}

}  // namespace
}  // namespace sluice::state
