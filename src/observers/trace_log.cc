#include "observers/trace_log.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/text.h"
#include "core/request.h"
#include "core/servable.h"

namespace sluice::observers {
namespace {

constexpr std::uint64_t kDefaultRate = 1000;

Failure bad(std::string_view key, std::string_view expected) {
  return invalid("bad_setting",
                 "setting '" + printable(key) + "' must be " + std::string(expected));
}

Result<void> set_level(const std::vector<std::string>& values, TraceSettings& out) {
  bool timestamps = false;
  for (const auto& value : values) {
    if (value != "OFF" && value != "TIMESTAMPS") return bad("trace_level", "OFF or TIMESTAMPS");
    timestamps = value == "TIMESTAMPS";
  }
  out.timestamps = timestamps;
  return {};
}

Result<void> apply(const std::string& key, const std::optional<std::vector<std::string>>& values,
                   TraceSettings& out) {
  const bool clear = !values || values->empty();
  if (key == "trace_level") {
    out.timestamps.reset();
    return clear ? Result<void>() : set_level(*values, out);
  }
  if (key == "trace_rate") {
    out.rate = clear ? std::nullopt : parse_uint((*values)[0]);
    if (!clear && (!out.rate || *out.rate == 0)) return bad(key, "a whole number above 0");
    return {};
  }
  if (key == "trace_count") {
    out.count = clear ? std::nullopt : parse_int((*values)[0]);
    if (!clear && (!out.count || *out.count < -1)) return bad(key, "a whole number or -1");
    return {};
  }
  if (key == "log_frequency") {
    return clear || (*values)[0] == "0" ? Result<void>() : Result<void>(bad(key, "0"));
  }
  if (key == "trace_file") return bad(key, "left out: traces go to the server's log");
  return bad(key, "one of trace_level, trace_rate, trace_count and log_frequency");
}

std::int64_t micros(TimePoint from, TimePoint to) {
  return std::chrono::duration_cast<std::chrono::microseconds>(to - from).count();
}

class TraceLog final : public Observer {
 public:
  explicit TraceLog(const TraceControl& control) : control_(control) {}

  void on_finish(const Request& request) const noexcept override {
    if (!request.servable || !control_.wanted(request.servable->model().str())) return;
    const auto now = std::chrono::steady_clock::now();
    if (request.reply.error) {
      log::info(fmt::format("trace id={} model={} version={} error={} total_us={}",
                            printable(request.request_id), request.servable->model().str(),
                            request.servable->version().str(), request.reply.error->reason,
                            micros(request.arrived, now)));
      return;
    }
    log::info(fmt::format(
        "trace id={} model={} version={} rows={} input_us={} queue_us={} infer_us={} output_us={} "
        "total_us={}",
        printable(request.request_id), request.servable->model().str(),
        request.servable->version().str(), request.rows, micros(request.arrived, request.submitted),
        micros(request.submitted, request.run_began), micros(request.run_began, request.run_ended),
        micros(request.run_ended, now), micros(request.arrived, now)));
  }

 private:
  const TraceControl& control_;
};

}  // namespace

TraceControl::TraceControl() : entries_(std::make_shared<const Entries>()) {}

TraceSettings TraceControl::of(const Entries& entries, std::string_view model) {
  TraceSettings out{false, kDefaultRate, -1};
  for (const std::string_view key : {std::string_view(), model}) {
    const auto found = entries.find(key);
    if (found == entries.end()) continue;
    const TraceSettings& own = found->second->settings;
    if (own.timestamps) out.timestamps = own.timestamps;
    if (own.rate) out.rate = own.rate;
    if (own.count) out.count = own.count;
  }
  return out;
}

TraceView TraceControl::view(std::string_view model) const {
  const auto settings = of(*entries_.get(), model);
  return {{"trace_level", {*settings.timestamps ? "TIMESTAMPS" : "OFF"}},
          {"trace_rate", {std::to_string(*settings.rate)}},
          {"trace_count", {std::to_string(*settings.count)}},
          {"log_frequency", {"0"}},
          {"trace_file", {""}}};
}

Result<void> TraceControl::update(std::string_view model, const TracePatch& patch) {
  Entries next = *entries_.get();
  const auto found = next.find(model);
  TraceSettings settings = found == next.end() ? TraceSettings{} : found->second->settings;
  for (const auto& [key, values] : patch) SLUICE_CHECK(apply(key, values, settings));
  next[std::string(model)] = std::make_shared<const Entry>(settings);
  entries_.publish(std::make_shared<const Entries>(std::move(next)));
  return {};
}

bool TraceControl::wanted(std::string_view model) const {
  const Entries& entries = *entries_.read();
  if (entries.empty()) return false;
  const auto settings = of(entries, model);
  if (!*settings.timestamps) return false;
  auto found = entries.find(model);
  if (found == entries.end()) found = entries.find(std::string_view());
  if (found == entries.end()) return false;
  const Entry& entry = *found->second;
  if (entry.seen.fetch_add(1, std::memory_order_relaxed) % *settings.rate != 0) return false;
  return *settings.count < 0 ||
         entry.written.fetch_add(1, std::memory_order_relaxed) < *settings.count;
}

std::unique_ptr<const Observer> make_trace_log(const TraceControl& control) {
  return std::make_unique<TraceLog>(control);
}

}  // namespace sluice::observers
