#include "clients/duckdb.h"

#include <array>

#include "base/log.h"
#include "base/text.h"
#include "clients/duckdb_engine.h"

namespace sluice::clients {
namespace {

Failure not_opened(std::string_view words) {
  log::debug("DuckDB: " + printable(words, 400));
  return unavailable("no_duckdb",
                     "tables cannot be read or written: the library DuckDB on this machine does "
                     "not start as it should; expected version 1.4 or newer");
}

Result<void> configure(const DuckdbLibrary& library, duckdb_config config,
                       const DuckdbLimits& limits) {
  const std::string memory = std::to_string(limits.memory) + "B";
  const std::string threads = std::to_string(std::max(limits.threads, 1u));
  const std::pair<const char*, const char*> options[] = {
      {"memory_limit", memory.c_str()},
      {"threads", threads.c_str()},
      {"temp_directory", ""},  // would be a folder in the working directory
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"allow_community_extensions", "false"},
      // Known by their paths, and those of descriptors come again for other files.
      {"enable_external_file_cache", "false"},
  };
  for (const auto& [name, value] : options) {
    if (library.set_config(config, name, value) != DuckDBSuccess) return not_opened(name);
  }
  return {};
}

// From here on nothing can be opened but what this process has open already, no extension can be
// loaded, and none of this can be taken back.
constexpr std::array kConfine = {
    "SET allowed_directories = ['/proc/self/fd/']",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
};

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

}  // namespace

DuckdbError duckdb_error(const char* words) {
  const std::string_view known = words ? words : "";
  const auto says = [&](std::string_view part) {
    return known.find(part) != std::string_view::npos;
  };
  using enum DuckdbError::Kind;
  DuckdbError error{kOther, std::string(known)};
  if (known.starts_with("Out of Memory") || says("could not allocate") || says("failed to pin")) {
    error.kind = kMemory;
  } else if (known.starts_with("Conversion")) {
    error.kind = kConversion;
  } else if (known.starts_with("IO ")) {
    error.kind = kSystem;
  } else if (known.starts_with("Parser") || known.starts_with("Syntax") ||
             known.starts_with("Catalog") || known.starts_with("Permission")) {
    error.kind = kOurs;
  }
  return error;
}

std::optional<Failure> engine_failure(const DuckdbError& error, const DuckdbLimits& limits) {
  log::debug("DuckDB: " + printable(error.words, 400));
  if (error.kind == DuckdbError::Kind::kMemory) {
    return fail(Code::kResourceExhausted, "too_large",
                "a table needs more memory than the " + human_bytes(limits.memory) +
                    " that tables may use; read fewer columns, or write smaller files");
  }
  if (error.kind == DuckdbError::Kind::kOurs) {
    return internal("the engine for tables was asked for something that it does not do");
  }
  return std::nullopt;
}

DuckdbResult<Held<duckdb_data_chunk>> DuckdbRows::fetch() {
  while (true) {
    Held<duckdb_data_chunk> chunk(library_->destroy_data_chunk, library_->fetch_chunk(result_));
    if (chunk.get() && library_->data_chunk_get_size(chunk.get()) == 0) continue;
    const char* const words = chunk.get() ? nullptr : library_->result_error(&result_);
    if (!words) return chunk;
    return std::unexpected(duckdb_error(words));
  }
}

Result<DuckdbConnection> DuckdbConnection::open(std::shared_ptr<const DuckdbEngine> engine) {
  DuckdbConnection made(std::move(engine));
  if (made.library().connect(made.engine().database.get(), made.connection_.out()) !=
      DuckDBSuccess) {
    return internal("the engine for tables does not take a connection");
  }
  return made;
}

DuckdbResult<void> DuckdbConnection::run(const std::string& sql) {
  duckdb_result result{};
  const auto state = library().query(get(), sql.c_str(), &result);
  const DuckdbRows rows(library(), result);
  if (state == DuckDBSuccess) return {};
  return std::unexpected(duckdb_error(library().result_error(&result)));
}

DuckdbResult<DuckdbRows> DuckdbConnection::stream(const std::string& sql) {
  Held<duckdb_prepared_statement> statement(library().destroy_prepare);
  if (library().prepare(get(), sql.c_str(), statement.out()) != DuckDBSuccess) {
    return std::unexpected(duckdb_error(library().prepare_error(statement.get())));
  }
  duckdb_result result{};
  // Marked for removal one day, but the only way to rows that are not all made first.
  const auto state = library().execute_prepared_streaming(statement.get(), &result);
  DuckdbRows rows(library(), result);
  if (state == DuckDBSuccess) return rows;
  return std::unexpected(duckdb_error(library().result_error(&result)));
}

std::string quoted_name(std::string_view name) { return quoted(name, '"'); }
std::string quoted_text(std::string_view text) { return quoted(text, '\''); }

std::string descriptor_path(const Fd& fd) { return "/proc/self/fd/" + std::to_string(fd.get()); }

Result<Duckdb> Duckdb::open(const DuckdbLimits& limits) {
  SLUICE_TRY(const auto library, DuckdbLibrary::load());
  Held<duckdb_config> config(library.destroy_config);
  if (library.create_config(config.out()) != DuckDBSuccess) return not_opened("create_config");
  SLUICE_CHECK(configure(library, config.get(), limits));
  const auto engine = std::make_shared<DuckdbEngine>(library, limits);
  char* why = nullptr;
  if (library.open_ext(nullptr, engine->database.out(), config.get(), &why) != DuckDBSuccess) {
    const std::string words = why ? why : "";
    library.free(why);
    return not_opened(words);
  }
  SLUICE_TRY(auto connection, DuckdbConnection::open(engine));
  for (const char* const sql : kConfine) {
    if (const auto done = connection.run(sql); !done) return not_opened(done.error().words);
  }
  return Duckdb(engine);
}

}  // namespace sluice::clients
