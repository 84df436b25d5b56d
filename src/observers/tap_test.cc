#include "observers/tap.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "observers/record_json.h"
#include "observers/testing/spoken.h"

namespace sluice::observers {
namespace {

using testing::Spoken;

// Keeps every record as the log would write it.
class Kept final : public RecordSink {
 public:
  explicit Kept(std::uint8_t wants, LogOptions privacy = {})
      : wants_(static_cast<Wanted>(wants)), privacy_(privacy) {}
  Wanted wants() const override { return wants_; }
  void take(const Record& record) override {
    while (held) std::this_thread::yield();
    RecordStyle style;
    style.privacy = privacy_;
    style.key = "key";
    std::string line;
    JsonWriter json(line);
    json.begin_object();
    write_record(record, style, json);
    json.end_object();
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  void close() override { closed = true; }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  nlohmann::json last() const { return nlohmann::json::parse(lines().back()); }

  std::atomic<bool> held{false};
  std::atomic<bool> closed{false};

 private:
  const Wanted wants_;
  const LogOptions privacy_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;  // guarded by mutex_
};

// Answers a request of `features` with one value.
void answer(Tap& tap, const std::shared_ptr<const Spoken>& servable,
            const std::vector<float>& features, std::string_view user = {}, std::size_t rows = 1) {
  Observers observers;
  observers.push_back(make_tap_observer(tap));
  auto request = make_request();
  request->observers = &observers;
  request->protocol = Protocol::kSimpleRest;
  request->arrived = std::chrono::steady_clock::now();
  request->servable = servable;
  request->user_id = user;
  request->request_id = "r-1";
  request->bound_to = 1;
  request->rows = rows;
  request->many_rows = rows > 1;
  request->inputs = request->arena.array<TensorView>(1);
  request->inputs[0] = {
      DType::kFloat32,
      {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(features.size() / rows)},
      std::as_bytes(std::span(features)),
      {}};
  auto values = request->arena.array<double>(rows);
  auto confidences = request->arena.array<double>(rows);
  std::ranges::fill(values, 1);
  std::ranges::fill(confidences, 0.75);
  request->reply.prediction.rows = rows;
  request->reply.prediction.values = values;
  request->reply.prediction.confidences = confidences;
  request->reply.answered = true;
  request->on_done = [](Request*) {};
  finish(std::move(request));
}

TEST(Tap, CarriesARequestToWhoeverWantsIt) {
  Kept log(kForLog), drift(kForDrift);
  Tap tap({&log, &drift});
  const auto servable = std::make_shared<const Spoken>(1.0);
  answer(tap, servable, {5.5F, -0.25F}, "u1");
  tap.close();
  EXPECT_TRUE(log.closed);
  ASSERT_EQ(log.lines().size(), 1U);
  ASSERT_EQ(drift.lines().size(), 1U);
  const auto line = log.last();
  EXPECT_EQ(line["request_id"], "r-1");
  EXPECT_EQ(line["model"], "fraud");
  EXPECT_EQ(line["model_version"], "v2");
  EXPECT_EQ(line["features"], nlohmann::json::parse("[5.5, -0.25]"));
  EXPECT_EQ(line["prediction"], 1.0);
  EXPECT_EQ(line["confidence"], 0.75);
  EXPECT_EQ(line["user_id"], "u1");
  EXPECT_GE(line["latency_ms"], 0.0);
  EXPECT_EQ(line["timestamp"].get<std::string>().size(), 27U);
}

TEST(Tap, RowsAreListsAndNamelessUsersAreNull) {
  Kept log(kForLog);
  Tap tap({&log});
  answer(tap, std::make_shared<const Spoken>(1.0), {1, 2, 3, 4}, {}, 2);
  tap.close();
  EXPECT_EQ(log.last()["features"], nlohmann::json::parse("[[1, 2], [3, 4]]"));
  EXPECT_EQ(log.last()["prediction"], nlohmann::json::parse("[1.0, 1.0]"));
  EXPECT_TRUE(log.last()["user_id"].is_null());
}

TEST(Tap, PrivacyHashesByKeyOrLeavesOut) {
  LogOptions hashed;
  hashed.features = hashed.user_id = Privacy::kHashed;
  LogOptions off;
  off.features = off.user_id = Privacy::kOff;
  Kept first(kForLog, hashed), second(kForLog, off);
  Tap tap({&first, &second});
  const auto servable = std::make_shared<const Spoken>(1.0);
  answer(tap, servable, {1}, "u1");
  answer(tap, servable, {1}, "u1");
  answer(tap, servable, {2}, "u2");
  tap.close();
  std::vector<nlohmann::json> lines;
  for (const auto& line : first.lines()) lines.push_back(nlohmann::json::parse(line));
  // Python: hmac.new(b"key", b"u1", "sha256").hexdigest()[:16]
  EXPECT_EQ(lines[0]["user_id"], "h:dc0708706ec6b9b1");
  EXPECT_EQ(lines[0]["user_id"], lines[1]["user_id"]);
  EXPECT_EQ(lines[0]["features"], lines[1]["features"]);
  EXPECT_NE(lines[0]["features"], lines[2]["features"]);
  EXPECT_TRUE(second.last()["features"].is_null());
  EXPECT_TRUE(second.last()["user_id"].is_null());
  EXPECT_EQ(second.last()["prediction"], 1.0);
}

TEST(Tap, WhatClientsWriteStaysWithinItsLine) {
  Kept log(kForLog);
  Tap tap({&log});
  const std::string user = "x\"}\n{\"model\":\"other\"\x01\xff";
  answer(tap, std::make_shared<const Spoken>(1.0), {1}, user);
  tap.close();
  EXPECT_EQ(log.lines()[0].find('\n'), std::string::npos);
  EXPECT_EQ(log.last()["model"], "fraud");
}

TEST(Tap, ASampleOfNothingIsNothing) {
  Kept log(kForLog);
  Tap tap({&log});
  const auto none = std::make_shared<const Spoken>(0.0);
  const auto half = std::make_shared<const Spoken>(0.5);
  for (int i = 0; i < 100; ++i) answer(tap, none, {1});
  for (int i = 0; i < 1000; ++i) answer(tap, half, {1});
  tap.close();
  EXPECT_GT(log.lines().size(), 400U);  // 6 standard deviations
  EXPECT_LT(log.lines().size(), 600U);
}

TEST(Tap, AFloodAsksForNoMoreThanSoManyRecordsASecond) {
  Kept drift(kForDrift);
  Tap tap({&drift});
  const auto servable = std::make_shared<const Spoken>(0.0);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20'000; ++i) answer(tap, servable, {1});
  const auto took = std::chrono::steady_clock::now() - began;
  tap.close();
  // A thousand at once, and then one in two milliseconds.
  EXPECT_GE(drift.lines().size(), 1000U);
  EXPECT_LE(drift.lines().size(),
            1002 + static_cast<std::size_t>(took / std::chrono::milliseconds(2)));
}

TEST(Tap, WhatFindsNoRoomIsCountedAndNobodyWaits) {
  Kept log(kForLog);
  Tap tap({&log});
  log.held = true;  // the log's thread hangs
  const auto servable = std::make_shared<const Spoken>(1.0);
  const std::vector<float> features(1000, 1);
  constexpr std::size_t kCount = 2000;  // of 4 kB: more than a ring
  for (std::size_t i = 0; i < kCount; ++i) answer(tap, servable, features);
  EXPECT_GT(tap.dropped(), 0U);
  EXPECT_EQ(tap.dropped(), tap.log_dropped());
  log.held = false;
  tap.close();
  EXPECT_EQ(log.lines().size() + tap.dropped(), kCount) << "never silently lost";
}

TEST(Tap, LargeInputsAreLeftOut) {
  Kept log(kForLog);
  Tap tap({&log});
  answer(tap, std::make_shared<const Spoken>(1.0), std::vector<float>(kMostInputBytes / 4 + 1, 1));
  tap.close();
  EXPECT_TRUE(log.last()["features"].is_null());
  EXPECT_EQ(log.last()["prediction"], 1.0);
}

TEST(RecordJson, TimesAreUtc) {
  // Python: datetime.fromtimestamp(1795000000.123456, timezone.utc).isoformat()
  EXPECT_EQ(utc_text(1'795'000'000'123'456'789), "2026-11-18T11:06:40.123456Z");
}

}  // namespace
}  // namespace sluice::observers
