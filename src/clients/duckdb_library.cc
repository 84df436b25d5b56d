#include "clients/duckdb_library.h"

#include <dlfcn.h>

#include <string>

#include "base/log.h"
#include "base/text.h"

namespace sluice::clients {
namespace {

Failure missing() {
  // What the loader says has paths in it.
  if (const char* why = ::dlerror()) log::debug("DuckDB: " + printable(why, 400));
  return unavailable("no_duckdb",
                     "tables cannot be read or written: the library DuckDB (libduckdb.so) is not "
                     "on this machine; install it, or start with its folder in LD_LIBRARY_PATH");
}

Failure too_old(std::string_view version, std::string_view function) {
  return unavailable("no_duckdb",
                     "tables cannot be read or written: the library DuckDB on this "
                     "machine, " +
                         printable(version) + ", has no duckdb_" + std::string(function) +
                         "; expected 1.4 or newer");
}

}  // namespace

Result<DuckdbLibrary> DuckdbLibrary::load(const char* file) {
  // NODELETE: threads may still have destructors of the library's to run.
  void* const handle = ::dlopen(file, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (!handle) return missing();
  DuckdbLibrary library;
  std::string_view absent;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(
        ::dlsym(handle, (std::string("duckdb_") + name).c_str()));
    if (!function && absent.empty()) absent = name;
  };
#define SLUICE_DUCKDB_FIND(name) find(library.name, #name);
  SLUICE_DUCKDB_FUNCTIONS(SLUICE_DUCKDB_FIND)
#undef SLUICE_DUCKDB_FIND
  ::dlclose(handle);
  if (absent.empty()) return library;
  return too_old(library.library_version ? library.library_version() : "of unknown version",
                 absent);
}

}  // namespace sluice::clients
