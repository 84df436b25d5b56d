#include "clients/duckdb_session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace sluice::clients {
namespace {

// More rows than are kept in memory before they go into the table.
TEST(DuckdbSession, RowsGoOnWhileATableIsFilled) {
  constexpr std::size_t kRows = 200'000;
  const auto engine = Duckdb::open({});
  ASSERT_TRUE(engine) << engine.error().message;
  auto session = DuckdbSession::open(*engine);
  ASSERT_TRUE(session);
  const auto path = std::filesystem::path(::testing::TempDir()) /
                    ("rows_" + std::to_string(::getpid()) + ".parquet");
  const Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  std::filesystem::remove(path);
  const auto made =
      session->run("COPY (SELECT range::DOUBLE AS a FROM range(" + std::to_string(kRows) +
                       ")) TO " + sql_file(file) + " (FORMAT parquet, USE_TMP_FILE false)",
                   {});
  ASSERT_TRUE(made) << made.error().message;
  auto table = session->fill(
      "answers", {{"p", CellType::kReal}, {"q", CellType::kReal}, {"r", CellType::kReal}});
  ASSERT_TRUE(table);
  auto rows = session->rows("SELECT a FROM read_parquet(" + sql_file(file) + ")", {false}, {});
  ASSERT_TRUE(rows) << rows.error().message;
  std::size_t count = 0;
  while (true) {
    const auto chunk = rows->next();
    ASSERT_TRUE(chunk) << chunk.error().message;
    if (!*chunk) break;
    for (std::size_t row = 0; row < (*chunk)->rows(); ++row) {
      ASSERT_EQ((*chunk)->reals(0)[row], static_cast<double>(count++));
      table->real(1).real(2).real(3);
      ASSERT_TRUE(table->end_row());
    }
  }
  EXPECT_EQ(count, kRows);
  ASSERT_TRUE(table->finish());
}

}  // namespace
}  // namespace sluice::clients
