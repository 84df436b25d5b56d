// Rows are read back as they were logged; a file is there whole or not at all.
#include <limits>

#include "clients/duckdb.h"
#include "observers/testing/logs.h"

namespace sluice::observers {
namespace {

namespace fs = std::filesystem;

class ParquetLogs : public Logs {
 protected:
  // Of one column of all files of the log, as texts; "-" for null.
  std::vector<std::string> column(const std::string& name) {
    const auto duckdb = *clients::Duckdb::open({});
    const std::vector<clients::WantedColumn> wanted = {{name, clients::ColumnKind::kText}};
    auto reader = duckdb.read(root_ / "p-*.parquet", wanted);
    std::vector<std::string> out;
    if (!reader) {
      ADD_FAILURE() << reader.error().message;
      return out;
    }
    while (auto chunk = *reader->next()) {
      for (std::size_t row = 0; row < chunk->rows(); ++row) {
        out.push_back(chunk->is_null(0, row) ? "-" : std::string(chunk->text(0, row)));
      }
    }
    return out;
  }
  std::vector<std::string> stored() {
    std::vector<std::string> out;
    const auto reader = clients::Duckdb::open({})->read(root_ / "p-*.parquet");
    if (!reader) return out;
    for (const auto& each : reader->columns()) out.push_back(each.name + " " + each.stored);
    return out;
  }

  const std::string key_ = "secret";
};

using Texts = std::vector<std::string>;

TEST_F(ParquetLogs, RowsAreReadAsTheyWere) {
  const ServingTables tables(table_with({}));
  PredictionLog log(tables, key_, open(options("p.parquet")));
  Sample one;
  one.features = {5.5f, std::numeric_limits<float>::quiet_NaN()};
  one.record.labels = {"yes"};
  one.record.user_id = "a\n\"\xff";
  log.take(one.with_views());
  Sample many;
  many.record.head.rows = 2;
  many.features = {1, 2, 3, 4};
  many.values = {0, 1};
  many.confidences = {0.5, 1};
  many.record.labels = {"no", "yes"};
  many.record.head.label = 1;
  many.record.head.release = 7;
  many.record.head.probability = 0.25;
  many.record.head.from_cache = true;
  many.record.user_id = {};
  log.take(many.with_views());
  Sample wide;  // a whole number that no double has
  const std::vector<std::int64_t> large = {(std::int64_t{1} << 60) + 1};
  wide.with_views();
  wide.record.inputs = {{DType::kInt64, {1, 1}, std::as_bytes(std::span(large)), {}}};
  log.take(wide.record);
  log.close();
  EXPECT_EQ(log.counts().written, 3u);
  EXPECT_EQ(log.counts().dropped, 0u);
  EXPECT_EQ(log.counts().rotations, 1u);
  EXPECT_EQ(names().size(), 1u);
  const Texts expected = {
      "timestamp TIMESTAMP",       "request_id VARCHAR",   "model VARCHAR",
      "model_version VARCHAR",     "features DOUBLE[]",    "features_json VARCHAR",
      "prediction DOUBLE",         "predictions DOUBLE[]", "confidence DOUBLE",
      "confidences DOUBLE[]",      "rows BIGINT",          "latency_ms DOUBLE",
      "user_id VARCHAR",           "label VARCHAR",        "true_label DOUBLE",
      "choice_probability DOUBLE", "from_cache BOOLEAN",   "entity_id VARCHAR",
      "feature_times VARCHAR"};
  EXPECT_EQ(stored(), expected);
  EXPECT_EQ(column("timestamp")[0], "2023-11-14 22:13:20.123456");
  EXPECT_EQ(column("request_id"), (Texts{"r1", "r1", "r1"}));
  EXPECT_EQ(column("model_version"), (Texts{"v1", "v1", "v1"}));
  EXPECT_EQ(column("features"), (Texts{"[5.5, nan]", "-", "-"}));
  EXPECT_EQ(column("features_json"),
            (Texts{"-", "[[1.0,2.0],[3.0,4.0]]", "[1152921504606846977]"}));
  EXPECT_EQ(column("prediction"), (Texts{"1.0", "-", "1.0"}));
  EXPECT_EQ(column("predictions"), (Texts{"-", "[0.0, 1.0]", "-"}));
  EXPECT_EQ(column("confidence"), (Texts{"0.75", "-", "0.75"}));
  EXPECT_EQ(column("confidences"), (Texts{"-", "[0.5, 1.0]", "-"}));
  EXPECT_EQ(column("rows"), (Texts{"1", "2", "1"}));
  EXPECT_EQ(column("latency_ms")[0], "1.235");
  EXPECT_EQ(column("user_id"), (Texts{"a\n\"\uFFFD", "-", "u1"}));
  EXPECT_EQ(column("label"), (Texts{"yes", R"(["no","yes"])", "-"}));
  EXPECT_EQ(column("true_label"), (Texts{"-", "1.0", "-"}));
  EXPECT_EQ(column("choice_probability"), (Texts{"-", "0.25", "-"}));
  EXPECT_EQ(column("from_cache"), (Texts{"false", "true", "false"}));
}

TEST_F(ParquetLogs, PrivacyIsThatOfLines) {
  LogOptions privacy;
  privacy.features = Privacy::kHashed;
  privacy.user_id = Privacy::kOff;
  const ServingTables tables(table_with(privacy));
  PredictionLog log(tables, key_, open(options("p.parquet")));
  Sample sample;
  log.take(sample.with_views());
  log.close();
  EXPECT_EQ(column("features"), Texts{"-"});
  EXPECT_TRUE(column("features_json")[0].starts_with("\"h:"));
  EXPECT_EQ(column("user_id"), Texts{"-"});
}

TEST_F(ParquetLogs, AFileIsFinishedByItsSizeAndAtTheEnd) {
  auto wanted = options("p.parquet");
  wanted.rotate = std::uint64_t{256} << 10;
  wanted.keep = 0;
  const ServingTables tables(table_with({}));
  PredictionLog log(tables, key_, open(wanted));
  Sample sample;
  constexpr std::size_t kRows = 5000;
  for (std::size_t i = 0; i < kRows; ++i) log.take(sample.with_views());
  log.close();
  EXPECT_GT(log.counts().rotations, 2u);
  EXPECT_EQ(log.counts().rotations, names().size());
  EXPECT_EQ(log.counts().written, kRows);
  EXPECT_EQ(column("request_id").size(), kRows);
}

TEST_F(ParquetLogs, AFileIsFinishedByItsAge) {
  auto wanted = options("p.parquet");
  wanted.interval = Millis(0);
  auto log = open(wanted);
  LogBatch batch;
  Sample sample;
  batch.rows.push_back(log_row(sample.with_views(), {}));
  batch.lines = 1;
  ASSERT_TRUE(log.target->write(batch));
  EXPECT_EQ(log.counters->written, 0u);
  ASSERT_TRUE(log.target->tick());
  EXPECT_EQ(log.counters->written, 1u);
  ASSERT_TRUE(log.target->tick());
  EXPECT_EQ(names().size(), 1u);
}

TEST_F(ParquetLogs, NothingIsNoFile) {
  { const auto log = open(options("p.parquet")); }
  EXPECT_TRUE(names().empty());
}

TEST_F(ParquetLogs, ADirectoryThatIsMissingIsToldAtTheStart) {
  const auto log = open_log(options("missing/p.parquet"));
  ASSERT_FALSE(log);
  EXPECT_EQ(log.error().reason, "unwritable");
  EXPECT_FALSE(log.error().message.contains(root_.string())) << log.error().message;
}

}  // namespace
}  // namespace sluice::observers
