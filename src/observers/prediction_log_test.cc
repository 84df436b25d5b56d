// Each line parses, shows what it may and nothing else, and is written or counted.
#include "observers/prediction_log.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <nlohmann/json.hpp>

#include "observers/testing/logs.h"

namespace sluice::observers {
namespace {

using nlohmann::json;

class PredictionLogs : public Logs {
 protected:
  // The lines of these samples, by a model whose log may show so much.
  std::vector<json> written(std::vector<Sample*> samples, const LogOptions& privacy = {}) {
    const ServingTables tables(table_with(privacy));
    PredictionLog log(tables, key_, open(options("p.jsonl")));
    for (auto* sample : samples) log.take(sample->with_views());
    log.close();
    EXPECT_EQ(log.counts().written, samples.size());
    EXPECT_EQ(log.counts().dropped, 0u);
    std::vector<json> out;
    for (const auto& line : lines_of(root_ / "p.jsonl")) out.push_back(json::parse(line));
    return out;
  }

  const std::string key_ = "secret";
};

// Counts what it is given, and keeps it until it is let go.
class SlowTarget final : public LogTarget {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    bool reached = false;
  };
  SlowTarget(std::shared_ptr<Gate> gate, std::shared_ptr<LogCounters> counters)
      : gate_(std::move(gate)), counters_(std::move(counters)) {}

  Result<void> write(LogBatch& batch) override {
    std::unique_lock lock(gate_->mutex);
    gate_->reached = true;
    gate_->changed.notify_all();
    gate_->changed.wait(lock, [this] { return gate_->open; });
    counters_->written += batch.lines;
    batch = {};
    return {};
  }

 private:
  const std::shared_ptr<Gate> gate_;
  const std::shared_ptr<LogCounters> counters_;
};

void let_go(SlowTarget::Gate& gate) {
  const std::lock_guard lock(gate.mutex);
  gate.open = true;
  gate.changed.notify_all();
}

TEST_F(PredictionLogs, ALineHasTheContractsFields) {
  Sample sample;
  const auto all = written({&sample});
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(lines_of(root_ / "p.jsonl")[0],
            R"({"timestamp":"2023-11-14T22:13:20.123456Z","request_id":"r1","model":"m",)"
            R"("model_version":"v1","features":[5.5,0.1],"prediction":1.0,"confidence":0.75,)"
            R"("latency_ms":1.235,"user_id":"u1"})");
}

TEST_F(PredictionLogs, ManyRowsLabelsAndReleases) {
  Sample many;
  many.record.head.rows = 2;
  many.record.head.label = 1;
  many.record.head.release = 7;
  many.record.head.probability = 0.25;
  many.record.user_id = {};
  many.features = {1, 2, 3, 4};
  many.values = {0, 1};
  many.confidences = {0.5, 1};
  many.record.labels = {"no", "yes"};
  const auto line = written({&many})[0];
  EXPECT_EQ(line["features"], json::parse("[[1.0,2.0],[3.0,4.0]]"));
  EXPECT_EQ(line["prediction"], json::parse("[0.0,1.0]"));
  EXPECT_EQ(line["label"], json::parse(R"(["no","yes"])"));
  EXPECT_EQ(line["true_label"], 1.0);
  EXPECT_EQ(line["choice_probability"], 0.25);
  EXPECT_TRUE(line["user_id"].is_null());
}

TEST_F(PredictionLogs, WhatIsNoNumberIsNull) {
  Sample sample;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  sample.features = {std::numeric_limits<float>::quiet_NaN(), kInf, -kInf, 1};
  sample.values = {std::numeric_limits<double>::quiet_NaN()};
  const auto line = written({&sample})[0];
  EXPECT_EQ(line["features"], json::parse("[null,null,null,1.0]"));
  EXPECT_TRUE(line["prediction"].is_null());
}

// Whatever a client writes as its names stays inside its text.
TEST_F(PredictionLogs, NoNameBreaksALine) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"a\nb", "a\nb"},
      {"\"},{\"user_id\":\"root", "\"},{\"user_id\":\"root"},
      {std::string("\0\x01\x1f\x7f\r\t\\", 7), std::string("\0\x01\x1f\x7f\r\t\\", 7)},
      {"ü€😀 \u2028\u2029", "ü€😀 \u2028\u2029"},
      {"\xff\xfe"
       "a\xc3",
       "\uFFFD\uFFFD"
       "a\uFFFD"},
      {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"},
  };
  std::vector<Sample> samples(names.size());
  std::vector<Sample*> all;
  for (std::size_t i = 0; i < names.size(); ++i) {
    samples[i].record.user_id = samples[i].record.request_id = names[i].first;
    all.push_back(&samples[i]);
  }
  const auto got = written(all);
  ASSERT_EQ(got.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(got[i]["user_id"], names[i].second);
    EXPECT_EQ(got[i]["request_id"], names[i].second);
    EXPECT_EQ(got[i].size(), 9u);
  }
}

TEST_F(PredictionLogs, HashesAreEqualForEqualValuesAndHideThem) {
  Sample first, second, third;
  third.record.user_id = "u2";
  third.features = {5.5f, 0.2f};
  LogOptions hashed;
  hashed.features = hashed.user_id = Privacy::kHashed;
  const auto all = written({&first, &second, &third}, hashed);
  EXPECT_EQ(all[0]["user_id"], keyed_hash(key_, "u1"));
  EXPECT_EQ(all[0]["user_id"], all[1]["user_id"]);
  EXPECT_EQ(all[0]["features"], all[1]["features"]);
  EXPECT_NE(all[0]["user_id"], all[2]["user_id"]);
  EXPECT_NE(all[0]["features"], all[2]["features"]);
  EXPECT_TRUE(all[0]["features"].get<std::string>().starts_with("h:"));
  EXPECT_FALSE(bytes_of(root_ / "p.jsonl").contains("5.5"));
  EXPECT_NE(keyed_hash("another key", "u1"), keyed_hash(key_, "u1"));
}

TEST_F(PredictionLogs, WhatIsOffIsNull) {
  Sample sample;
  LogOptions off;
  off.features = off.user_id = Privacy::kOff;
  const auto line = written({&sample}, off)[0];
  EXPECT_TRUE(line["features"].is_null());
  EXPECT_TRUE(line["user_id"].is_null());
  EXPECT_EQ(line["prediction"], 1.0);
}

TEST_F(PredictionLogs, AModelThatIsGoneShowsNothingItMightHaveHidden) {
  Sample sample;
  sample.record.model = "gone";
  const auto line = written({&sample})[0];
  EXPECT_EQ(line["model"], "gone");
  EXPECT_TRUE(line["features"].is_null());
  EXPECT_TRUE(line["user_id"].is_null());
}

TEST_F(PredictionLogs, ManyBuffersKeepTheirOrder) {
  const ServingTables tables(table_with({}));
  PredictionLog log(tables, key_, open(options("p.jsonl")));
  constexpr int kLines = 20'000;
  Sample sample;
  std::string id;
  for (int i = 0; i < kLines; ++i) {
    id = std::to_string(i);
    sample.record.request_id = id;
    log.take(sample.with_views());
    if (i % 1000 == 0) log.tick();
  }
  log.close();
  const auto all = lines_of(root_ / "p.jsonl");
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kLines));
  for (int i = 0; i < kLines; ++i) {
    ASSERT_EQ(json::parse(all[static_cast<std::size_t>(i)])["request_id"], std::to_string(i));
  }
  EXPECT_EQ(log.counts().bytes, bytes_of(root_ / "p.jsonl").size());
}

TEST_F(PredictionLogs, ADiskThatHangsHoldsUpNobodyAndDropsAreCounted) {
  const ServingTables tables(table_with({}));
  const auto gate = std::make_shared<SlowTarget::Gate>();
  const auto counters = std::make_shared<LogCounters>();
  constexpr std::size_t kWaiting = std::size_t{1} << 20;
  PredictionLog log(tables, key_, {counters, std::make_unique<SlowTarget>(gate, counters)},
                    kWaiting);
  Sample sample;
  std::uint64_t taken = 0;
  while (log.counts().dropped == 0 && taken < 1'000'000) {
    log.take(sample.with_views());
    ++taken;
  }
  EXPECT_EQ(counters->written, 0u);
  EXPECT_GT(log.counts().dropped, 0u);
  // A line of a sample has about 200 bytes: what waits is bounded.
  EXPECT_LT(taken, 4 * kWaiting / 200);
  log.tick();
  let_go(*gate);
  EXPECT_TRUE(becomes([&] { return log.counts().written > 0; }));
  log.close();
  EXPECT_TRUE(log.ended_in_time());
  EXPECT_EQ(log.counts().written + log.counts().dropped, taken);
}

TEST_F(PredictionLogs, AnEndDoesNotWaitForADiskThatHangs) {
  const auto gate = std::make_shared<SlowTarget::Gate>();
  const auto counters = std::make_shared<LogCounters>();
  {
    LogWriter writer({counters, std::make_unique<SlowTarget>(gate, counters)});
    ASSERT_TRUE(writer.give(lines("1\n2\n")));
    std::unique_lock lock(gate->mutex);
    ASSERT_TRUE(gate->changed.wait_for(lock, kLong, [&] { return gate->reached; }));
    lock.unlock();
    ASSERT_TRUE(writer.give(lines("3\n")));
    EXPECT_FALSE(writer.close(Millis(10)));
    EXPECT_EQ(counters->dropped, 3u);
    EXPECT_FALSE(writer.give(lines("4\n")));
    EXPECT_EQ(counters->dropped, 4u);
  }
  let_go(*gate);
  // The thread that was left behind goes its own way, and needs nothing of what is gone.
  EXPECT_TRUE(becomes([&] { return counters->written > 0; }));
}

TEST_F(PredictionLogs, OffIsNoTarget) { EXPECT_EQ(open({}).target, nullptr); }

}  // namespace
}  // namespace sluice::observers
