#include "clients/sqlite_errors.h"

#include <sqlite3.h>

#include <cstring>
#include <string>

namespace sluice::clients {

Failure unusable_file(const SqliteNames& names, std::string_view what) {
  return unavailable(names.unavailable, std::string(names.what) + " " + std::string(what));
}

Failure bad_file(const SqliteNames& names, std::string_view what) {
  return fail(names.bad_code, names.bad,
              std::string(names.what) + " " + std::string(what) + "; " + std::string(names.repair));
}

Failure system_failure(const SqliteNames& names, std::string_view what, int error) {
  return unusable_file(names, std::string(what) + ": " + std::strerror(error) +
                                  "; check its directory and who may write there");
}

// sqlite3_errstr says what kind of error it was; sqlite3_errmsg may show names and is not used.
Failure sqlite_failure(const SqliteNames& names, int code) {
  const std::string why = sqlite3_errstr(code);
  if (code == SQLITE_IOERR_CORRUPTFS) return bad_file(names, "cannot be read (" + why + ")");
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return bad_file(names, "cannot be read (" + why + ")");
    // The statements are ours and right for the layout: it is the tables that are not.
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH: return bad_file(names, "has other tables than it should (" + why + ")");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return unusable_file(names,
                           "is held by another process for too long; see which, and try again");
    case SQLITE_FULL: return unusable_file(names, "cannot be written: its disk is full");
    case SQLITE_TOOBIG:
      return fail(
          Code::kResourceExhausted, "too_large",
          "what was to be kept in " + std::string(names.what) + " is too large for one entry");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN:
      return unusable_file(names, "cannot be opened for writing (" + why +
                                      "); check who may write its directory and file");
    default: return unusable_file(names, "cannot be used (" + why + ")");
  }
}

Result<void> sqlite_checked(const SqliteNames& names, int code) {
  if (code == SQLITE_OK) return {};
  return sqlite_failure(names, code);
}

}  // namespace sluice::clients
