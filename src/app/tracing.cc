#include "app/tracing.h"

#include <fmt/format.h>

#include <cstdlib>

#include "base/log.h"
#include "base/text.h"
#include "clients/http.h"

namespace sluice::app {
namespace {

constexpr std::string_view kPath = "/v1/traces";

bool is_http_url(std::string_view text) {
  const auto url = clients::parse_http_url(text);
  return url && url->query.empty() && url->fragment.empty();
}

std::string unusable(std::string_view variable, std::string_view expected) {
  return std::string(variable) + " is not used: expected " + std::string(expected);
}

// Of the variables: where traces go; empty: nowhere.
std::string standard_url(const Variables& variables, std::vector<std::string>& warnings) {
  if (variables("OTEL_SDK_DISABLED").value_or("") == "true") return {};
  if (variables("OTEL_TRACES_EXPORTER").value_or("otlp") != "otlp") return {};
  constexpr const char* kOwn = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
  constexpr const char* kAll = "OTEL_EXPORTER_OTLP_ENDPOINT";
  constexpr std::string_view kExpected = "http:// or https:// and a host";
  if (const auto own = variables(kOwn)) {
    if (is_http_url(*own)) return *own;  // as it stands
    warnings.push_back(unusable(kOwn, kExpected));
  }
  if (const auto all = variables(kAll)) {
    if (auto url = traces_url(*all)) return *std::move(url);
    warnings.push_back(unusable(kAll, kExpected));
  }
  return {};
}

double share_of(const ServeOptions& options, const Variables& variables,
                std::vector<std::string>& warnings) {
  constexpr const char* kArgument = "OTEL_TRACES_SAMPLER_ARG";
  const double otherwise = observers::TracerOptions().sample;
  if (options.trace_sample) return *options.trace_sample;
  const auto text = variables(kArgument);
  if (!text) return otherwise;
  const auto share = parse_double(*text);
  if (share && *share >= 0 && *share <= 1) return *share;
  warnings.push_back(unusable(kArgument, "a share from 0 to 1"));
  return otherwise;
}

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> traces_url(std::string_view endpoint) {
  if (!is_http_url(endpoint)) return std::nullopt;
  while (endpoint.ends_with('/')) endpoint.remove_suffix(1);
  std::string out(endpoint);
  if (!endpoint.ends_with(kPath)) out += kPath;
  return out;
}

observers::TracerOptions tracer_options(const ServeOptions& options, const Variables& variables,
                                        std::vector<std::string>& warnings) {
  observers::TracerOptions out;
  if (options.otlp_endpoint.empty()) {
    out.url = standard_url(variables, warnings);
  } else if (options.otlp_endpoint != "off") {
    out.url = traces_url(options.otlp_endpoint).value_or("");
  }
  if (out.url.empty()) return out;
  out.sample = share_of(options, variables, warnings);
  out.service = options.service_name;
  if (out.service.empty()) out.service = variables("OTEL_SERVICE_NAME").value_or("sluice");
  if (!is_utf8(out.service)) {
    warnings.push_back(unusable("OTEL_SERVICE_NAME", "UTF-8"));
    out.service = "sluice";
  }
  return out;
}

observers::TracerOptions tracer_options(const ServeOptions& options) {
  std::vector<std::string> warnings;
  auto out = tracer_options(options, variable, warnings);
  for (const auto& warning : warnings) log::warn(warning);
  if (!out.url.empty()) {
    log::info(
        fmt::format("traces go to an OTLP collector, as '{}': those that the caller records, "
                    "and {:g} % of the others",
                    printable(out.service), out.sample * 100));
  }
  return out;
}

}  // namespace sluice::app
