// The functions of DuckDB's C API that are used here, in a library that is loaded when it is first
// needed: linked, it would cost every command 11 ms and 10 MB, whether or not it has anything to do
// with tables (docs/decisions/0038-duckdb.md).
//
// Only the duckdb_* files of this room include it.
//
// Thread-safety: a value that never changes.
#pragma once

#include <duckdb.h>

#include "base/error.h"

// Each is a member of DuckdbLibrary, without its 'duckdb_'.
#define SLUICE_DUCKDB_FUNCTIONS(X)                                                                \
  X(library_version)                                                                              \
  X(free)                                                                                         \
  X(create_config)                                                                                \
  X(set_config)                                                                                   \
  X(destroy_config)                                                                               \
  X(open_ext)                                                                                     \
  X(close)                                                                                        \
  X(connect)                                                                                      \
  X(disconnect)                                                                                   \
  X(query)                                                                                        \
  X(prepare)                                                                                      \
  X(prepare_error)                                                                                \
  X(destroy_prepare)                                                                              \
  X(execute_prepared_streaming)                                                                   \
  X(result_error)                                                                                 \
  X(destroy_result)                                                                               \
  X(fetch_chunk)                                                                                  \
  X(create_logical_type)                                                                          \
  X(create_list_type)                                                                             \
  X(destroy_logical_type)                                                                         \
  X(create_data_chunk)                                                                            \
  X(destroy_data_chunk)                                                                           \
  X(data_chunk_get_size)                                                                          \
  X(data_chunk_set_size) X(data_chunk_get_vector) X(vector_get_data) X(vector_get_validity)       \
      X(vector_ensure_validity_writable) X(vector_assign_string_element_len)                      \
          X(list_vector_get_child) X(list_vector_reserve) X(list_vector_set_size)                 \
              X(validity_set_row_invalid) X(validity_set_row_valid) X(appender_create_ext)        \
                  X(append_data_chunk) X(appender_flush) X(appender_close) X(appender_error_data) \
                      X(appender_destroy) X(error_data_message) X(destroy_error_data)

namespace sluice::clients {

struct DuckdbLibrary {
#define SLUICE_DUCKDB_MEMBER(name) decltype(&::duckdb_##name) name = nullptr;
  SLUICE_DUCKDB_FUNCTIONS(SLUICE_DUCKDB_MEMBER)
#undef SLUICE_DUCKDB_MEMBER

  // Once loaded it stays: a second call finds it, and costs microseconds. Found by the program's
  // own search path (cmake/FindDuckDB.cmake), then where the system looks. Errors:
  // kUnavailable/`no_duckdb` where it is not on this machine, or too old.
  static Result<DuckdbLibrary> load(const char* file = "libduckdb.so");
};

}  // namespace sluice::clients
