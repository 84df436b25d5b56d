// The user's own condition, in SQL.
//
// Thread-safety: functions without state.
#pragma once

#include <string>

#include "clients/duckdb_session.h"
#include "tools/batch/schema.h"

namespace sluice::tools::batch {

// Whether `where` is a condition on these columns; empty is one. Errors: kInvalidArgument/
// `bad_sql`, with what is wrong in it.
Result<void> check_filter(const clients::Duckdb& engine, const Schema& schema,
                          const std::string& where);

}  // namespace sluice::tools::batch
