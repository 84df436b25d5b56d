// Why a table cannot be read, in plain words made of what DuckDB says. Only the duckdb_* files of
// this room include it.
//
// Thread-safety: functions without state.
#pragma once

#include "base/error.h"
#include "clients/duckdb_engine.h"
#include "clients/duckdb_files.h"

namespace sluice::clients {

// kInvalidArgument/`bad_table` with the file's name, the line and the column where they are known;
// engine_failure's where it is not the file; kUnavailable/`unreadable` from the system. Of a piece
// of a file `lines_before` counts those above it.
Failure read_failure(const DuckdbError& error, const OpenTable& table, const DuckdbLimits& limits,
                     std::uint64_t lines_before = 0);

}  // namespace sluice::clients
