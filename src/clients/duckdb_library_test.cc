// What is said where DuckDB is not there.
#include "clients/duckdb_library.h"

#include <gtest/gtest.h>

namespace sluice::clients {
namespace {

TEST(DuckdbLibrary, IsFound) {
  const auto library = DuckdbLibrary::load();
  ASSERT_TRUE(library) << library.error().message;
  EXPECT_EQ(library->library_version()[0], 'v');
}

TEST(DuckdbLibrary, OneThatIsMissingIsOneClearSentence) {
  const auto library = DuckdbLibrary::load("libduckdb-nowhere.so");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().code, Code::kUnavailable);
  EXPECT_EQ(library.error().reason, "no_duckdb");
  EXPECT_EQ(library.error().message,
            "tables cannot be read or written: the library DuckDB (libduckdb.so) is not on this "
            "machine; install it, or start with its folder in LD_LIBRARY_PATH");
}

TEST(DuckdbLibrary, OneThatLacksAFunctionIsTooOld) {
  const auto library = DuckdbLibrary::load("libz.so.1");
  ASSERT_FALSE(library);
  EXPECT_EQ(library.error().reason, "no_duckdb");
  EXPECT_EQ(library.error().message,
            "tables cannot be read or written: the library DuckDB on this machine, of unknown "
            "version, has no duckdb_library_version; expected 1.4 or newer");
}

}  // namespace
}  // namespace sluice::clients
