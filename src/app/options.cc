#include "app/options.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>

#include "app/tracing.h"
#include "base/file.h"
#include "base/names.h"
#include "base/text.h"
#include "config/yaml.h"
#include "serving/faults.h"
#include "sources/builtin.h"
#include "transport/server.h"

namespace sluice::app {
namespace {

constexpr std::size_t kMaxConfig = 1 << 20;

std::optional<std::string> address_problem(const std::string& text) {
  auto parsed = transport::parse_address(text);
  if (parsed) return std::nullopt;
  return parsed.error().message;
}

std::optional<std::string> name_problem(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto parsed = ModelName::parse(text);
  if (parsed) return std::nullopt;
  return parsed.error().message;
}

auto one_of(std::vector<std::string> words) {
  return [words = std::move(words)](const std::string& value) -> std::optional<std::string> {
    if (std::ranges::find(words, value) != words.end()) return std::nullopt;
    return "'" + printable(value) + "' is not one of " + join_and(words);
  };
}

// A directory would be this server's alone. So would be what a variable of a shell says that is not
// set: each replica would decide for itself.
std::optional<std::string> shared_state_problem(const std::string& url) {
  if (url.contains("://")) return std::nullopt;
  return (url.empty() ? std::string("it is empty") : "'" + printable(url) + "' is no URL") +
         "; expected redis://host, rediss://host or redis+sentinel://host/name, or "
         "leave it out and name a directory in state_dir";
}

std::optional<std::string> poll_problem(const std::string& text) {
  if (text == "off") return std::nullopt;
  Problems problems;
  Millis value{};
  OptionType<Millis>::read(Node::text(text), value, problems);
  if (problems.empty()) return std::nullopt;
  return problems[0].message + "; or off";
}

std::optional<std::string> faults_problem(const std::string& text) {
  auto parsed = serving::FaultTable::parse(text);
  if (parsed) return std::nullopt;
  return parsed.error().message;
}

std::optional<std::string> endpoint_problem(const std::string& text) {
  if (text.empty() || text == "off" || traces_url(text)) return std::nullopt;
  return "expected http:// or https:// and a host, such as http://localhost:4318, or off";
}

std::optional<std::string> share_problem(const std::optional<double>& share) {
  if (!share || (*share >= 0 && *share <= 1)) return std::nullopt;
  return "expected a share from 0 to 1, such as 0.01";
}

std::optional<std::string> service_problem(const std::string& name) {
  if (name.size() <= 256 && is_utf8(name)) return std::nullopt;
  return "expected a name of at most 256 bytes";
}

std::string variable_name(std::string_view key) {
  std::string out = "SLUICE_";
  for (const char c : key) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

Node environment(const std::vector<std::string_view>& keys) {
  Node out;
  out.kind = Node::Kind::kMap;
  for (const auto key : keys) {
    if (key == "metrics") continue;
    if (const char* value = std::getenv(variable_name(key).c_str())) {
      out.entries.push_back({std::string(key), {}, Node::text(value)});
    }
  }
  return out;
}

}  // namespace

const Schema<MetricsOptions>& MetricsOptions::schema() {
  static const auto kSchema =
      Schema<MetricsOptions>()
          .option("public", &MetricsOptions::is_public, "whether public listeners answer /metrics")
          .option("triton_names", &MetricsOptions::triton_names,
                  "/metrics has the nv_inference_* family of Triton too");
  return kSchema;
}

const Schema<ServeOptions>& ServeOptions::schema() {
  using S = ServeOptions;
  static const auto kSchema =
      Schema<S>()
          .option("models", &S::models,
                  "model file, model directory or repository; a path or a URL")
          .option("http", &S::http, "where REST (and HTTP/2) listens", {address_problem})
          .option("grpc", &S::grpc, "where gRPC listens", {address_problem})
          .option("management", &S::management, "where control and metrics listen",
                  {address_problem})
          .option("default_model", &S::default_model, "model of POST /predict")
          .option("model_name", &S::model_name,
                  "name of the only model, instead of its folder's or file's", {name_problem})
          .option("strict", &S::strict, "an unknown key in a request is an error")
          .option("version_header", &S::version_header,
                  "X-Sluice-Version chooses the version, for testers")
          .option("allow_pickle", &S::allow_pickle, "run .pkl and .joblib files")
          .option("python", &S::python,
                  "the Python that runs them; else the first of python3 and the system's that "
                  "imports sklearn")
          .option("state_dir", &S::state_dir, "where state is kept; :memory: keeps nothing")
          .option("state", &S::state,
                  "where replicas share releases and their evidence: redis://host, rediss:// or "
                  "redis+sentinel://; else each server keeps its own in state_dir",
                  {shared_state_problem})
          .option("poll", &S::poll, "how often the repository is looked at, or off", {poll_problem})
          .option("cache_dir", &S::cache_dir,
                  "where downloaded models are kept; else cache in state_dir, else ~/.cache/sluice")
          .option("cache_size", &S::cache_size, "most bytes of downloaded models on the disk",
                  {between(Bytes{1}, Bytes{std::uint64_t{1} << 50})})
          .option("model_control", &S::model_control, "poll | explicit",
                  {one_of({"poll", "explicit"})})
          .option("load_model", &S::load_model,
                  "with explicit control, what is loaded at start: names with commas, or *")
          .option("allow_client_shm", &S::allow_client_shm,
                  "clients on this machine may pass tensors in shared memory")
          .option("io_threads", &S::io_threads, "I/O threads; 0: one per core",
                  {between<std::int64_t>(0, 256)})
          .option("max_body", &S::max_body, "largest request body and gRPC message",
                  {between(Bytes{1024}, Bytes{std::uint64_t{2} << 30})})
          .option("drain_timeout", &S::drain_timeout, "how long in-flight requests may take to end")
          .option("max_models_memory", &S::max_models_memory,
                  "most memory for models: lazy ones make room for others; 0: no limit")
          .option("log_level", &S::log_level, "debug | info | warn | error | off",
                  {one_of({"debug", "info", "warn", "error", "off"})})
          .option("inject_faults", &S::inject_faults,
                  "for tests and drills: versions that fail, hang, crash or answer NaN on purpose",
                  {faults_problem})
          .option("prediction_log", &S::prediction_log,
                  "where a line for each prediction goes: off, stdout or - , or a file (.parquet: "
                  "Parquet)")
          .option("log_rotate", &S::log_rotate, "bytes of a file of the prediction log",
                  {between(Bytes{std::uint64_t{64} << 10}, Bytes{std::uint64_t{1} << 40})})
          .option("log_keep", &S::log_keep, "rotated files that are kept; 0: all",
                  {between<std::int64_t>(0, 100'000)})
          .option("log_interval", &S::log_interval,
                  "Parquet: after so long a file is finished, whatever its size",
                  {between(Millis{1000}, Millis{86'400'000})})
          .option("log_key", &S::log_key,
                  "key of the hashes in the prediction log; better as SLUICE_LOG_KEY")
          .option("otlp_endpoint", &S::otlp_endpoint,
                  "where traces go: an OpenTelemetry collector's URL for OTLP over HTTP, or off",
                  {endpoint_problem})
          .option("trace_sample", &S::trace_sample,
                  "share of the traces that begin here that is recorded, 0 to 1; else 0.01",
                  {share_problem})
          .option("service_name", &S::service_name, "what traces call this server; else sluice",
                  {service_problem})
          .option("feature_stores", &S::feature_stores,
                  "where features of entities are kept, beside the embedded store: see docs")
          .option("metrics", &S::metrics, "metrics");
  return kSchema;
}

const std::vector<std::string>& ServeOptions::not_acted_on() {
  static const std::vector<std::string> kKeys = {};
  return kKeys;
}

void warn_of_idle_options(const Node& root, std::vector<std::string>& warnings) {
  for (const auto& entry : root.entries) {
    if (std::ranges::count(ServeOptions::not_acted_on(), entry.key) > 0) {
      warnings.push_back("'" + entry.key + "' is read but not acted on by this version of Sluice");
    }
  }
}

namespace {

// One by one, so that a message can name the flag or variable that it is about.
void read_each(const Node& node, std::string (*title)(std::string_view), ServeOptions& out,
               Problems& problems) {
  for (const auto& entry : node.entries) {
    Node one;
    one.kind = Node::Kind::kMap;
    one.entries.push_back(entry);
    Problems found;
    ServeOptions::schema().read(one, out, found);
    for (auto& problem : found) {
      problems.push_back({{}, title(entry.key) + ": " + problem.message});
    }
  }
}

std::string flag_name(std::string_view key) {
  std::string out = "--" + std::string(key);
  std::ranges::replace(out, '_', '-');
  return out;
}

}  // namespace

ServeOptions read_options(const std::string& file, const Node& flags, Problems& problems,
                          std::vector<std::string>& warnings) {
  ServeOptions out;
  if (!file.empty()) {
    const auto text = read_text(file, kMaxConfig, "the configuration file");
    if (!text) {
      problems.push_back({{}, text.error().message});
      return out;
    }
    if (const auto root = config::parse_yaml(*text, problems)) {
      ServeOptions::schema().read(*root, out, problems);
      warn_of_idle_options(*root, warnings);
    }
  }
  const Node variables = environment(ServeOptions::schema().keys());
  read_each(variables, variable_name, out, problems);
  read_each(flags, flag_name, out, problems);
  warn_of_idle_options(variables, warnings);
  warn_of_idle_options(flags, warnings);
  if (!out.load_model.empty() && out.model_control != "explicit") {
    warnings.emplace_back("'load_model' means nothing without model_control: explicit");
  }
  return out;
}

sources::RemoteOptions cache_options(const ServeOptions& options) {
  sources::RemoteOptions out;
  out.cache_directory = options.cache_dir.empty()
                            ? sources::default_cache_directory(options.state_dir)
                            : options.cache_dir;
  out.cache_bytes = options.cache_size.value;
  return out;
}

Result<sources::RemoteOptions> cache_options(const LoadFlags& load_flags) {
  Node flags;
  flags.kind = Node::Kind::kMap;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) flags.entries.push_back({key, {}, Node::text(value)});
  };
  add("cache_dir", load_flags.cache_dir);
  add("cache_size", load_flags.cache_size);
  ServeOptions out;
  Problems problems;
  read_each(environment({"cache_dir", "cache_size"}), variable_name, out, problems);
  read_each(flags, flag_name, out, problems);
  if (!problems.empty()) return invalid("usage", problems[0].message);
  return cache_options(out);
}

}  // namespace sluice::app
