// sluice features get

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/features.h"
#include "app/http_client.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"
#include "features/builtin.h"
#include "features/named_json.h"
#include "features/sqlite.h"

namespace sluice::app {
namespace {

using nlohmann::json;
constexpr std::chrono::seconds kPatience{10};

struct Arguments {
  std::vector<std::string> entity;
  std::string store = "default";
  std::string state_dir;
  std::string url;
  bool json = false;
};

// An entity by its keys. One alone needs no name: the store does not keep it.
struct Entity {
  std::vector<EntityKey> keys;
  std::vector<std::string_view> values;
};

Result<Entity> entity_of(const std::vector<std::string>& words) {
  Entity out;
  for (const std::string_view word : words) {
    const auto equals = words.size() == 1 ? std::string_view::npos : word.find('=');
    if (words.size() > 1 && equals == std::string_view::npos) {
      return invalid("usage", "'" + printable(word) +
                                  "' has no name: an entity of several keys is written "
                                  "name=value name=value");
    }
    const bool named = equals != std::string_view::npos;
    out.keys.push_back({named ? std::string(word.substr(0, equals)) : "entity", KeyType::kText});
    out.values.push_back(named ? word.substr(equals + 1) : word);
  }
  return out;
}

std::string shown(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + printable(word);
  return out;
}

// ---- of the folder -----------------------------------------------------------------------------

Result<std::string> ask_folder(const Arguments& arguments) {
  SLUICE_TRY(const auto entity, entity_of(arguments.entity));
  const auto directory = features_directory(arguments.state_dir);
  const auto file = features::embedded_file(directory);
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) {
    return not_found("no_features", "no features are kept in " + printable(directory) +
                                        "; import some, or name the folder with --state-dir");
  }
  features::StoreOptions options;
  options.name = arguments.store;
  options.url = "sqlite:" + file.string();
  SLUICE_TRY(const auto store, features::open_sqlite(options));
  SLUICE_TRY(const auto list,
             store->list(entity.keys, entity.values, std::chrono::steady_clock::now() + kPatience));
  if (!list || list->empty()) {
    return not_found("unknown_entity", "store '" + printable(arguments.store) +
                                           "' has no features of '" + shown(arguments.entity) +
                                           "'; check how it was written, and the store's name");
  }
  return features::named_json(arguments.store, shown(arguments.entity), *list);
}

// ---- of a server -------------------------------------------------------------------------------

Result<std::string> ask_server(const Arguments& arguments) {
  SLUICE_TRY(auto url, parse_url(arguments.url));
  if (arguments.entity.size() > 1) {
    return invalid("usage", "a server is asked for entities of one key alone");
  }
  url.path = "/api/features/" + clients::percent_encode(arguments.store, false) + "/" +
             clients::percent_encode(arguments.entity.front(), false);
  SLUICE_TRY(const auto answer, http_request(url, "GET", "", kPatience));
  const auto parsed = json::parse(answer.body, nullptr, false);
  const bool object = parsed.is_object();
  if (answer.status == 200 && object && parsed.contains("features")) return answer.body;
  std::string message;
  if (object && parsed.contains("error") && parsed["error"].is_object()) {
    message = parsed["error"].value("message", "");
  }
  if (!message.empty()) {
    const auto code = answer.status == 404 ? Code::kNotFound : Code::kUnavailable;
    return fail(code, "refused", "the server says: " + printable(message, 500));
  }
  return unavailable("no_api",
                     "the server does not tell its features there; use the address of "
                     "its management listener");
}

void print_table(const json& answer) {
  std::size_t width = 7;
  std::size_t wide = 5;
  const auto value_of = [](const json& value) {
    return printable(value.is_string() ? value.get<std::string>() : value.dump(), 60);
  };
  for (const auto& [name, value] : answer["features"].items()) {
    width = std::max(width, printable(name).size());
    wide = std::max(wide, value_of(value).size());
  }
  const auto times = answer.value("feature_times", json::object());
  std::printf("%-*s  %-*s  %s\n", static_cast<int>(width), "FEATURE", static_cast<int>(wide),
              "VALUE", "TIME");
  for (const auto& [name, value] : answer["features"].items()) {
    std::printf("%-*s  %-*s  %s\n", static_cast<int>(width), printable(name).c_str(),
                static_cast<int>(wide), value_of(value).c_str(), times.value(name, "-").c_str());
  }
}

int get(const Arguments& arguments) {
  log::set_level(log::Level::kOff);
  if (const auto fault = features_fault(arguments.store, arguments.state_dir)) {
    return complain(kUsage, *fault);
  }
  const auto answer = arguments.url.empty() ? ask_folder(arguments) : ask_server(arguments);
  if (!answer) return complain(answer.error());
  if (arguments.json) {
    std::printf("%s\n", answer->c_str());
  } else {
    print_table(json::parse(*answer));
  }
  return kSuccess;
}

}  // namespace

Action add_features_get(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("entity", arguments->entity, "the entity; of several keys: name=value for each")
      ->required();
  app.add_option("--store", arguments->store, "name of the store")->capture_default_str();
  app.add_option("--state-dir", arguments->state_dir,
                 "where the server keeps its state; else .sluice in models/, or here");
  app.add_option("--url", arguments->url,
                 "ask a running server at its management address, such as http://127.0.0.1:8002");
  app.add_flag("--json", arguments->json, "print JSON");
  return [arguments] { return get(*arguments); };
}

}  // namespace sluice::app
