// sluice features

#include "app/features.h"

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/names.h"
#include "base/text.h"

namespace sluice::app {

std::string features_directory(const std::string& given) {
  if (!given.empty()) return given;
  std::error_code ignored;
  return std::filesystem::is_directory("models", ignored) ? "models/.sluice" : ".sluice";
}

std::optional<std::string> features_fault(const std::string& store, const std::string& state_dir) {
  if (!is_token(store)) {
    return "'" + printable(store) +
           "' is no name of a store (--store): use letters, digits, '.', '_' and '-'";
  }
  if (state_dir == ":memory:") {
    return "a state in memory (--state-dir) is another process's, and its features cannot be "
           "reached; name a folder";
  }
  return std::nullopt;
}

Action add_features(CLI::App& app) {
  app.require_subcommand(1);
  CLI::App* import =
      app.add_subcommand("import", "Put the columns of a table into the embedded feature store");
  import->footer(
      "Example:\n  sluice features import users.parquet --entity user_id\n"
      "  sluice features import rides.csv --entity driver_id,city --time updated --columns a,b");
  CLI::App* get = app.add_subcommand("get", "What a feature store has of an entity");
  get->footer(
      "Example:\n  sluice features get user_42\n"
      "  sluice features get driver_id=7 city=Rome --json\n"
      "  sluice features get user_42 --url http://127.0.0.1:8002");
  return [import, run_import = add_features_import(*import), run_get = add_features_get(*get)] {
    return import->parsed() ? run_import() : run_get();
  };
}

}  // namespace sluice::app
