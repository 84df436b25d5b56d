// What SQLite's codes are as errors of ours, for the sqlite* files of this room.
//
// Thread-safety: functions without state.
#pragma once

#include <string_view>

#include "base/error.h"
#include "clients/sqlite.h"

namespace sluice::clients {

// "the state store" + `what`; `unusable`: it cannot be opened or written now.
Failure unusable_file(const SqliteNames& names, std::string_view what);
// What is there is not what it should be.
Failure bad_file(const SqliteNames& names, std::string_view what);
// The system's words for an error, which name no file.
Failure system_failure(const SqliteNames& names, std::string_view what, int error);

// One of SQLite's (extended) codes that is an error.
Failure sqlite_failure(const SqliteNames& names, int code);
Result<void> sqlite_checked(const SqliteNames& names, int code);

}  // namespace sluice::clients
