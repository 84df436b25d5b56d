// Where traces go and which, by our own options, else by OpenTelemetry's variables, which whoever
// runs many services sets once for all (opentelemetry.io/docs/specs/otel, SDK environment
// variables).
//
// Thread-safety: functions without state.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/options.h"
#include "observers/spans.h"

namespace sluice::app {

// Of a collector's address, the one that traces are posted to: ".../v1/traces", unless it ends so.
// Nothing where it is no such address.
std::optional<std::string> traces_url(std::string_view endpoint);

// The value of an environment variable; nothing where it is not set or empty.
using Variables = std::function<std::optional<std::string>(const char* name)>;

// A variable that cannot be used is a warning, and as good as not set.
observers::TracerOptions tracer_options(const ServeOptions& options, const Variables& variables,
                                        std::vector<std::string>& warnings);
// By this process's variables; warnings and where spans go are logged.
observers::TracerOptions tracer_options(const ServeOptions& options);

}  // namespace sluice::app
