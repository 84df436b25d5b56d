#include "clients/sqlite.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

namespace sluice::clients {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOldSteps[] = {"CREATE TABLE t (a TEXT NOT NULL) STRICT"};
constexpr const char* kNewSteps[] = {kOldSteps[0], "ALTER TABLE t ADD COLUMN b BLOB"};
constexpr const char* kWrongSteps[] = {kOldSteps[0], "CREATE TABLE u (a TEXT) STRICT; NONSENSE"};
constexpr SqliteLayout kOld = {7, kOldSteps};
constexpr SqliteLayout kNew = {7, kNewSteps};
constexpr SqliteLayout kWrong = {7, kWrongSteps};

class Sqlite : public testing::Test {
 protected:
  Sqlite() {
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  ~Sqlite() override { fs::remove_all(root_); }

  fs::path file() const { return root_ / "x.db"; }
  Result<SqliteDatabase> open(const SqliteLayout& layout) const {
    return SqliteDatabase::in_file(file(), layout);
  }
  static void insert(SqliteDatabase& database, std::string_view text) {
    auto statement = database.prepare("INSERT INTO t (a) VALUES (?)");
    ASSERT_TRUE(statement);
    ASSERT_TRUE(statement->text(text).run());
  }
  static std::int64_t rows(SqliteDatabase& database) {
    auto statement = database.prepare("SELECT count(*) FROM t");
    EXPECT_TRUE(statement->step().value());
    return statement->column_number(0);
  }

  const fs::path root_ = fs::path(testing::TempDir()) / ("sqlite_" + std::to_string(::getpid()));
};

TEST_F(Sqlite, WhatIsNotCommittedHasNotHappened) {
  auto database = open(kOld);
  ASSERT_TRUE(database);
  {
    auto transaction = database->begin(Survives::kPowerCut);
    ASSERT_TRUE(transaction);
    insert(*database, "lost");
  }
  EXPECT_EQ(rows(*database), 0);
  auto transaction = database->begin(Survives::kProcessCrash);
  ASSERT_TRUE(transaction) << "the one before is still open";
  insert(*database, "kept");
  ASSERT_TRUE(transaction->commit());
  EXPECT_EQ(rows(*database), 1);
}

TEST_F(Sqlite, AnOlderLayoutIsBroughtUpToDateWithWhatIsInIt) {
  {
    auto database = open(kOld);
    insert(*database, "old");
  }
  auto database = open(kNew);
  ASSERT_TRUE(database) << database.error().message;
  auto statement = database->prepare("SELECT a, b FROM t");
  ASSERT_TRUE(statement);
  ASSERT_TRUE(statement->step().value());
  EXPECT_EQ(statement->column(0), "old");
  EXPECT_TRUE(statement->column_is_null(1));
  EXPECT_FALSE(statement->column_is_null(0));
  EXPECT_EQ(open(kOld).error().reason, "bad_state") << "the older program does not touch it";
}

TEST_F(Sqlite, AStepThatFailsLeavesTheOlderLayout) {
  {
    auto database = open(kOld);
    insert(*database, "old");
  }
  EXPECT_FALSE(open(kWrong));
  auto database = open(kNew);
  ASSERT_TRUE(database) << database.error().message;
  EXPECT_EQ(rows(*database), 1);
  EXPECT_FALSE(database->prepare("SELECT * FROM u")) << "half of the step is there";
}

TEST_F(Sqlite, AFileThatCannotBeMadeLeavesNothing) {
  constexpr const char* kNonsense[] = {"NONSENSE"};
  EXPECT_FALSE(open({7, kNonsense}));
  EXPECT_TRUE(fs::is_empty(root_));
}

TEST_F(Sqlite, AWriterWaitsForTheOneBefore) {
  auto one = open(kOld);
  auto two = open(kOld);
  std::atomic<bool> asked = false;
  std::atomic<bool> got = false;
  auto transaction = one->begin(Survives::kPowerCut);
  std::jthread other([&] {
    asked = true;
    const auto waited = two->begin(Survives::kPowerCut);
    got = waited.has_value();
  });
  while (!asked) std::this_thread::yield();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(got) << "two write at the same time";
  ASSERT_TRUE(transaction->commit());
  other.join();
  EXPECT_TRUE(got);
}

TEST_F(Sqlite, WhatDoesNotFitTheTablesIsBad) {
  auto database = SqliteDatabase::in_memory(kOld);
  ASSERT_TRUE(database);
  const auto unknown = database->prepare("SELECT secret FROM t");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kDataLoss);
  EXPECT_EQ(unknown.error().message.find("secret"), std::string::npos) << unknown.error().message;
  auto excess = database->prepare("INSERT INTO t (a) VALUES (?)");
  EXPECT_FALSE(excess->text("1").text("2").run()) << "more values than parameters";
}

}  // namespace
}  // namespace sluice::clients
