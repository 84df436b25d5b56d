# DuckDB's header as DuckDB::DuckDB, with the place where its library is found at run time. The
# library is not linked: clients/duckdb_library.h loads it at its first use.
#
# Looked for in this order: -DDUCKDB_ROOT=<prefix with include/ and lib/>, the system's, and what
# `./dev setup` fetched into .deps/duckdb. A root that was asked for is the only place looked at:
# falling back to another version would go unnoticed.

set(DUCKDB_ROOT "" CACHE PATH "Prefix of a DuckDB installation (include/ and lib/, or flat)")

function(_duckdb_look_in)
  find_path(DuckDB_INCLUDE_DIR duckdb.h PATH_SUFFIXES include ${ARGN})
  find_library(DuckDB_LIBRARY duckdb PATH_SUFFIXES lib lib64 ${ARGN})
endfunction()

if(DUCKDB_ROOT)
  _duckdb_look_in(PATHS "${DUCKDB_ROOT}" NO_DEFAULT_PATH)
else()
  _duckdb_look_in()
  if(NOT DuckDB_INCLUDE_DIR OR NOT DuckDB_LIBRARY)
    # Both from one place: structures of the header must be those of the library.
    unset(DuckDB_INCLUDE_DIR CACHE)
    unset(DuckDB_LIBRARY CACHE)
    _duckdb_look_in(PATHS "${CMAKE_CURRENT_LIST_DIR}/../.deps/duckdb" NO_DEFAULT_PATH)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  DuckDB
  REQUIRED_VARS DuckDB_LIBRARY DuckDB_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run ./dev setup, or pass -DDUCKDB_ROOT=<prefix>")

if(DuckDB_FOUND AND NOT TARGET DuckDB::DuckDB)
  get_filename_component(_duckdb_directory "${DuckDB_LIBRARY}" DIRECTORY)
  add_library(DuckDB::DuckDB INTERFACE IMPORTED)
  set_target_properties(
    DuckDB::DuckDB
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${DuckDB_INCLUDE_DIR}")
  # Of whatever is declared after this: a link option would stay in what is installed.
  list(APPEND CMAKE_BUILD_RPATH "${_duckdb_directory}")
endif()
mark_as_advanced(DuckDB_INCLUDE_DIR DuckDB_LIBRARY)
