// Options of `sluice serve`: the same names in the configuration file, as SLUICE_… variables and as
// flags. Flags win over variables, variables over the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "base/option.h"
#include "features/stores.h"
#include "sources/remote.h"

namespace sluice::app {

struct MetricsOptions {
  bool is_public = true;
  bool triton_names = false;
  static const Schema<MetricsOptions>& schema();
};

struct ServeOptions {
  std::string models = "models";
  std::string http = "0.0.0.0:8000";
  std::string grpc = "0.0.0.0:50051";
  std::string management = "127.0.0.1:8002";
  std::string default_model;
  std::string model_name;
  bool strict = false;
  bool version_header = true;
  bool allow_pickle = false;
  std::string python;
  std::string state_dir;
  std::string state;
  std::string poll = "1s";
  std::string cache_dir;
  Bytes cache_size{std::uint64_t{10} << 30};
  std::string model_control = "poll";
  std::string load_model;
  bool allow_client_shm = false;
  std::int64_t io_threads = 0;
  Bytes max_body{std::uint64_t{64} << 20};
  Millis drain_timeout{30'000};
  Bytes max_models_memory{0};
  std::string log_level = "info";
  std::string inject_faults;
  std::string prediction_log = "off";
  Bytes log_rotate{std::uint64_t{128} << 20};
  std::int64_t log_keep = 10;
  Millis log_interval{600'000};
  std::string log_key;
  std::string otlp_endpoint;
  std::optional<double> trace_sample;
  std::string service_name;
  features::Stores feature_stores;
  MetricsOptions metrics;

  static const Schema<ServeOptions>& schema();
  // Keys that are read and checked, but that this version does not act on.
  static const std::vector<std::string>& not_acted_on();
};

// Reads the file (when there is one), then the environment, then `flags` (key and text), in this
// order. Every problem is reported; `warnings` names what was given but is not acted on.
ServeOptions read_options(const std::string& file, const Node& flags, Problems& problems,
                          std::vector<std::string>& warnings);
// The same warnings for the text of a file alone.
void warn_of_idle_options(const Node& root, std::vector<std::string>& warnings);

// Where downloads are kept, and how many of them.
sources::RemoteOptions cache_options(const ServeOptions& options);
// The same for a command without a server, which reads no file and no other variables. Errors:
// kInvalidArgument/`usage` of what is given.
Result<sources::RemoteOptions> cache_options(const LoadFlags& load_flags);

}  // namespace sluice::app
