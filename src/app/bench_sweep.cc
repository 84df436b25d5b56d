// sluice bench MODEL --sweep

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "app/bench.h"
#include "app/commands.h"
#include "app/http_client.h"
#include "app/stack.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "tools/bench/sweep.h"

namespace sluice::app {
namespace {

std::atomic<bool> stop_asked = false;

// Ctrl-C ends the servers and removes the copies like any other end.
void stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_asked.store(true, std::memory_order_relaxed); };
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
}

Result<std::string> get(const std::string& port, const std::string& path) {
  SLUICE_TRY(auto answer, http_request(local_url(port, path), "GET", "", std::chrono::seconds(10)));
  if (answer.status != 200) return unavailable("unreachable", "the server does not answer " + path);
  return std::move(answer.body);
}

// What the model is called and what it is asked, found by loading it here first: what is wrong with
// it is said before any server starts.
Result<tools::SweepPlan> make_plan(const BenchArguments& arguments) {
  SLUICE_TRY(const auto stack, Stack::open(arguments.target, arguments.load_flags));
  SLUICE_CHECK(stack->load());
  SLUICE_TRY(const auto request, stack->request_to_only_model());
  const auto& servable = *request->servable;
  tools::SweepPlan plan;
  plan.model = {arguments.target, servable.model().str(), servable.version().str()};
  plan.body = body_for(servable.signature(), arguments.data);
  plan.connections = {1, 4, 16, 64};
  if (arguments.concurrency > 0) plan.connections.push_back(arguments.concurrency);
  std::ranges::sort(plan.connections);
  const auto rest = std::ranges::unique(plan.connections);
  plan.connections.erase(rest.begin(), rest.end());
  plan.duration = std::chrono::milliseconds(static_cast<std::int64_t>(arguments.seconds * 1000));
  plan.timeout = std::chrono::milliseconds(arguments.timeout);
  plan.get = get;
  plan.stop = &stop_asked;
  return plan;
}

void print_json(const std::vector<tools::SweepCell>& cells) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("cells").begin_array();
  for (const auto& cell : cells) {
    json.begin_object().field("batching", cell.batching).field("connections", cell.connections);
    json.field("average_batch", cell.average_batch);
    put_load(cell.load, json);
    json.end_object();
  }
  json.end_array().end_object();
  std::printf("%s\n", out.c_str());
}

void print_table(const std::vector<tools::SweepCell>& cells, bool limited) {
  std::printf("%-8s  %11s  %10s  %9s  %9s  %13s  %s%s\n", "batching", "connections", "requests/s",
              "p50 ms", "p99 ms", "average batch", limited ? "goodput/s  " : "", "errors");
  int last = cells.empty() ? 0 : cells.front().connections;
  for (const auto& cell : cells) {
    if (std::exchange(last, cell.connections) != cell.connections) std::printf("\n");
    const auto& load = cell.load;
    std::printf("%-8.*s  %11d  %10.0f  %9.3f  %9.3f  %13.2f",
                static_cast<int>(cell.batching.size()), cell.batching.data(), cell.connections,
                load.per_second(), load.quantile(0.5) / 1000, load.quantile(0.99) / 1000,
                cell.average_batch);
    if (limited) std::printf("  %9.0f", load.goodput());
    const unsigned long long errors = load.refused + load.failed;
    std::printf("  %6llu\n", errors);
  }
}

}  // namespace

int bench_sweep(const BenchArguments& arguments) {
  if (arguments.rate > 0) {
    return complain(kUsage, "--sweep measures closed loops; leave out --rate");
  }
  if (arguments.load_flags.allow_pickle) {
    return complain(kUsage, "--sweep serves no pickles; serve the model and load its URL");
  }
  log::set_level(log::Level::kOff);
  stop_on_signals();
  const auto plan = make_plan(arguments);
  if (!plan) return complain(plan.error());
  const auto cells = tools::run_sweep(*plan);
  if (!cells) return complain(cells.error());
  arguments.json ? print_json(*cells) : print_table(*cells, arguments.timeout > 0);
  return kSuccess;
}

}  // namespace sluice::app
