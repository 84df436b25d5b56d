#include "frontends/watch_api.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/json_writer.h"
#include "base/text.h"
#include "frontends/model_page.h"
#include "frontends/query.h"

namespace sluice::frontends {
namespace {

// Counts and latencies of one version, or of several together.
struct Summary {
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
  std::uint64_t rows = 0;
  std::uint64_t mistakes = 0;  // the clients', refused by guards included
  Tally::Latencies latencies;
  observers::Rates::LastMinute minute;

  void add(const Servable& servable, const observers::Rates& rates) {
    const Tally& tally = servable.tally();
    const auto sums = tally.sums();
    answered += sums.success.count;
    failed += sums.fail.count;
    rows += sums.rows;
    for (const auto& of : tally.ends()) {
      mistakes += of[static_cast<std::size_t>(Ending::kMistake)] +
                  of[static_cast<std::size_t>(Ending::kGuarded)];
    }
    latencies.merge(tally.latencies(Tally::kTotal));
    const auto last = rates.of(servable);
    minute.seconds = std::max(minute.seconds, last.seconds);
    minute.answered += last.answered;
    minute.failed += last.failed;
    minute.latencies.merge(last.latencies);
  }
};

double share(std::uint64_t part, std::uint64_t rest) {
  const auto all = part + rest;
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

void write_latencies(const Tally::Latencies& latencies, JsonWriter& json) {
  const auto millis = [&](double q) { return latencies.quantile(q) / 1e6; };
  json.field("latency_p50", millis(0.5)).field("latency_p95", millis(0.95));
  json.field("latency_p99", millis(0.99)).field("latency_p999", millis(0.999));
}

void write_summary(const Summary& summary, JsonWriter& json) {
  json.field("prediction_count", summary.answered).field("error_count", summary.failed);
  json.field("error_rate", share(summary.failed, summary.answered));
  write_latencies(summary.latencies, json);
  json.field("client_error_count", summary.mistakes).field("row_count", summary.rows);
  json.key("last_minute").begin_object();
  json.field("seconds", summary.minute.seconds).field("rate", summary.minute.rate());
  json.field("prediction_count", summary.minute.answered);
  json.field("error_count", summary.minute.failed);
  json.field("error_rate", share(summary.minute.failed, summary.minute.answered));
  write_latencies(summary.minute.latencies, json);
  json.end_object();
}

void write_classes(const std::vector<std::string>& names, const AnswerCounts::Sums& sums,
                   JsonWriter& json) {
  json.key("classes").begin_object();
  for (std::size_t i = 0; i < sums.classes.size(); ++i) {
    if (sums.classes[i] == 0) continue;
    json.field(i < names.size() ? names[i] : std::to_string(i), sums.classes[i]);
  }
  if (sums.other_classes > 0) json.field("others", sums.other_classes);
  json.end_object();
}

void write_values(const Histogram<ValueBuckets>& values, JsonWriter& json) {
  json.key("values").begin_object();
  json.field("count", values.count());
  for (const auto& [name, q] :
       {std::pair{"p05", 0.05}, {"p25", 0.25}, {"p50", 0.5}, {"p75", 0.75}, {"p95", 0.95}}) {
    json.field(name, values.quantile(q));
  }
  json.end_object();
}

// Of predictions: by class and confidence, or by value.
void write_answers(const std::vector<std::string>& class_names, const AnswerCounts::Sums& sums,
                   JsonWriter& json) {
  json.key("predictions").begin_object();
  if (sums.classified() > 0) write_classes(class_names, sums, json);
  if (sums.values.count() > 0) write_values(sums.values, json);
  json.field("not_finite", sums.not_finite).end_object();
  if (sums.classified() == 0) return;
  json.key("confidences").begin_object();
  json.field("mean", sums.confidence_sum / static_cast<double>(sums.classified()));
  json.key("histogram").begin_array();
  for (std::size_t i = 0; i < sums.confidences.size(); ++i) {
    const auto edge = [](std::size_t at) {
      return static_cast<double>(at) / AnswerCounts::kConfidences;
    };
    json.begin_object().field("from", edge(i)).field("to", edge(i + 1));
    json.field("count", sums.confidences[i]).end_object();
  }
  json.end_array().end_object();
}

using Violations = std::map<std::string, std::uint64_t>;

void write_violations(const Violations& violations, JsonWriter& json) {
  json.key("guard_violations").begin_object();
  for (const auto& [feature, count] : violations) json.field(feature, count);
  json.end_object();
}

std::string tell_metrics(const Parts& parts, const ModelEntry& entry) {
  std::string out;
  JsonWriter json(out);
  Summary all;
  AnswerCounts::Sums answers;
  Violations violations;
  std::vector<std::string> class_names;
  for (const auto& servable : entry.ready) {
    all.add(*servable, parts.watch.rates);
    answers.merge(servable->tally().answers().sums());
    for (const auto& [feature, count] : servable->tally().violations()) {
      violations[feature] += count;
    }
    const auto& names = servable->signature().class_names;
    if (names.size() > class_names.size()) class_names = names;
  }
  json.begin_object().field("model", std::string_view(entry.name.str()));
  write_summary(all, json);
  write_answers(class_names, answers, json);
  write_violations(violations, json);
  json.key("versions").begin_object();
  for (const auto& servable : entry.ready) {
    Summary own;
    own.add(*servable, parts.watch.rates);
    json.key(servable->version().str()).begin_object();
    write_summary(own, json);
    write_answers(servable->signature().class_names, servable->tally().answers().sums(), json);
    write_violations(servable->tally().violations(), json);
    json.end_object();
  }
  json.end_object().end_object();
  return out;
}

Result<std::string> tell_recent(const Parts& parts, const ModelEntry& entry,
                                std::string_view query) {
  const std::string request_id = query_value(query, "request_id").value_or("");
  const std::string outcome = query_value(query, "outcome").value_or("");
  observers::RecentRequests::Query wanted{.request_id = request_id, .outcome = outcome};
  if (const auto limit = query_value(query, "limit")) {
    const auto number = parse_uint(*limit);
    if (!number || *number == 0 || *number > 1000) {
      return invalid("bad_query", "limit must be a whole number from 1 to 1000");
    }
    wanted.limit = *number;
  }
  const auto found = parts.watch.recent.list(entry.name.str(), entry.config.log, wanted);
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("model", std::string_view(entry.name.str()));
  json.field("logged", entry.config.log.sample > 0);
  json.key("requests").begin_array();
  for (const auto& each : found) json.raw(each);
  json.end_array().end_object();
  return out;
}

}  // namespace

void add_watch_api(Router& router, const Parts& parts) {
  serve_model_page(router, parts, "/api/models/{}/metrics",
                   [parts](const ModelEntry& entry, std::string_view) {
                     parts.watch.finishing.settle();
                     return Result<std::string>(tell_metrics(parts, entry));
                   });
  serve_model_page(router, parts, "/api/models/{}/recent",
                   [parts](const ModelEntry& entry, std::string_view query) {
                     return tell_recent(parts, entry, query);
                   });
}

}  // namespace sluice::frontends
