// sluice models

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "app/commands.h"
#include "app/http_client.h"

namespace sluice::app {
namespace {

using nlohmann::json;

struct Arguments {
  std::string url = "http://127.0.0.1:8002";
  bool json = false;
};

// A number of the last minute, or a dash where nothing is known or happened.
std::string of(const json& version, const char* key, const char* format) {
  const double value = version.value(key, 0.0);
  if (value == 0) return "-";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

int models(const Arguments& arguments) {
  auto url = parse_url(arguments.url);
  if (!url) return complain(kUsage, url.error().message);
  url->path = "/api/models";
  auto answer = http_request(*url, "GET", "", std::chrono::seconds(10));
  if (!answer) return complain(answer.error());
  const auto parsed = json::parse(answer->body, nullptr, false);
  if (answer->status != 200 || !parsed.is_object()) {
    return complain(kUnavailable,
                    "the server does not list its models there; use the address of "
                    "its management listener");
  }
  if (arguments.json) {
    std::printf("%s\n", answer->body.c_str());
    return kSuccess;
  }
  std::printf("%-24s %-12s %-8s %-8s %-10s %-10s %s\n", "MODEL", "VERSION", "STATE", "TRAFFIC",
              "RATE", "P95", "REASON");
  for (const auto& model : parsed.value("models", json::array())) {
    const auto name = model.value("name", "");
    const auto versions = model.value("versions", json::array());
    const auto reason = model.value("reason", "");
    if (!versions.empty() && !reason.empty()) {
      std::printf("%-24s %-12s %-8s %-8s %-10s %-10s %s\n", name.c_str(), "-", "note", "-", "-",
                  "-", reason.c_str());
    }
    if (versions.empty()) {
      std::printf("%-24s %-12s %-8s %-8s %-10s %-10s %s\n", name.c_str(), "-", "failed", "-", "-",
                  "-", model.value("reason", "it has no versions").c_str());
    }
    for (const auto& version : versions) {
      char traffic[16];
      std::snprintf(traffic, sizeof traffic, "%.3g %%", 100 * version.value("traffic", 0.0));
      std::printf("%-24s %-12s %-8s %-8s %-10s %-10s %s\n", name.c_str(),
                  version.value("version", "").c_str(), version.value("state", "").c_str(), traffic,
                  of(version, "rate", "%.1f/s").c_str(), of(version, "p95_ms", "%.2f ms").c_str(),
                  version.value("reason", "").c_str());
    }
  }
  return kSuccess;
}

}  // namespace

Action add_models(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("--url", arguments->url, "management address of a server")->capture_default_str();
  app.add_flag("--json", arguments->json, "print JSON");
  return [arguments] { return models(*arguments); };
}

}  // namespace sluice::app
