#include "tools/bench/sweep.h"

#include <nlohmann/json.hpp>
#include <thread>

#include "tools/bench/http_load.h"
#include "tools/bench/server_process.h"

namespace sluice::tools {
namespace {

using std::chrono::milliseconds;

constexpr auto kLoading = std::chrono::seconds(120);
constexpr milliseconds kWarmUp{100};

struct Setting {
  std::string_view name;
  std::string_view yaml;
};
constexpr Setting kSettings[] = {
    {"off", "{max_batch_size: 1}"},
    {"eager", "{policy: eager}"},
    {"wait", "{policy: wait, max_wait: 10ms}"},
};

struct Statistics {
  std::uint64_t rows = 0;
  std::uint64_t runs = 0;
};

// A 64-bit number, which protobuf's JSON writes as text.
std::uint64_t number(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return 0;
  if (found->is_string()) return std::strtoull(found->get<std::string>().c_str(), nullptr, 10);
  return found->is_number() ? found->get<std::uint64_t>() : 0;
}

Failure stopped() { return unavailable("stopped", "stopped before the end"); }

class Sweep {
 public:
  explicit Sweep(const SweepPlan& plan, const std::filesystem::path& root)
      : plan_(plan), root_(root), path_("/v2/models/" + plan.model.name) {}

  Result<std::vector<SweepCell>> run() {
    for (const auto& setting : kSettings) SLUICE_CHECK(start(setting));
    std::vector<SweepCell> cells;
    for (const int connections : plan_.connections) {
      for (const auto& setting : kSettings) cells.push_back({setting.name, connections, {}, 0});
      const auto row = std::span(cells).last(std::size(kSettings));
      std::vector<Statistics> sums(row.size());
      for (int part = 0; part < SweepPlan::kParts; ++part) {
        for (std::size_t i = 0; i < row.size(); ++i) {
          SLUICE_CHECK(measure(servers_[i].port(), row[i], sums[i]));
        }
      }
      for (std::size_t i = 0; i < row.size(); ++i) {
        row[i].load.sort();
        if (sums[i].runs == 0) continue;
        row[i].average_batch =
            static_cast<double>(sums[i].rows) / static_cast<double>(sums[i].runs);
      }
    }
    return cells;
  }

 private:
  bool asked_to_stop() const { return plan_.stop != nullptr && plan_.stop->load(); }

  Result<void> start(const Setting& setting) {
    const auto repository = root_ / setting.name;
    SLUICE_CHECK(copy_model(plan_.model, setting.yaml, repository));
    SLUICE_TRY(auto server, ServerProcess::start(repository));
    servers_.push_back(std::move(server));
    SLUICE_CHECK(wait_until_ready(servers_.back()));
    SLUICE_CHECK(load(servers_.back().port(), 4, kWarmUp));
    return {};
  }

  Result<void> wait_until_ready(ServerProcess& server) const {
    const auto until = std::chrono::steady_clock::now() + kLoading;
    while (server.running() && std::chrono::steady_clock::now() < until) {
      if (asked_to_stop()) return stopped();
      if (plan_.get(server.port(), path_ + "/ready")) return {};
      std::this_thread::sleep_for(milliseconds(10));
    }
    return unavailable("unreachable", "the server to be measured does not serve the model");
  }

  Result<LoadResult> load(const std::string& port, int connections, milliseconds duration) const {
    LoadPlan plan;
    plan.host = "127.0.0.1";
    plan.port = port;
    plan.path = "/models/" + plan_.model.name + "/predict";
    plan.body = plan_.body;
    plan.connections = connections;
    plan.duration = duration;
    plan.timeout = plan_.timeout;
    plan.stop = plan_.stop;
    auto result = run_http_load(plan);
    if (asked_to_stop()) return stopped();
    return result;
  }

  Result<Statistics> statistics(const std::string& port) const {
    SLUICE_TRY(const auto text, plan_.get(port, path_ + "/stats"));
    const auto parsed = nlohmann::json::parse(text, nullptr, false);
    const auto list = parsed.is_object() ? parsed.find("model_stats") : parsed.end();
    Statistics out;
    if (list == parsed.end()) return internal("the server's statistics cannot be read");
    for (const auto& version : *list) {
      out.rows += number(version, "inference_count");
      out.runs += number(version, "execution_count");
    }
    return out;
  }

  Result<void> measure(const std::string& port, SweepCell& cell, Statistics& sums) const {
    SLUICE_TRY(const auto before, statistics(port));
    SLUICE_TRY(const auto part, load(port, cell.connections, plan_.duration / SweepPlan::kParts));
    SLUICE_TRY(const auto after, statistics(port));
    cell.load.add(part);
    sums.rows += after.rows - before.rows;
    sums.runs += after.runs - before.runs;
    return {};
  }

  const SweepPlan& plan_;
  const std::filesystem::path& root_;
  const std::string path_;
  std::vector<ServerProcess> servers_;
};

}  // namespace

Result<std::vector<SweepCell>> run_sweep(const SweepPlan& plan) {
  SLUICE_TRY(const auto directory, TemporaryDirectory::make());
  return Sweep(plan, directory.path()).run();
}

}  // namespace sluice::tools
