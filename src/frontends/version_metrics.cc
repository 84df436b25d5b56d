#include "frontends/version_metrics.h"

#include <fmt/format.h>

#include <string>

#include "frontends/metric_ladder.h"

namespace sluice::frontends {
namespace {

std::string labels_of(const Servable& servable) {
  return fmt::format("model=\"{}\",version=\"{}\"", servable.model().str(),
                     servable.version().str());
}

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

template <class Visit>
void each_servable(const ServingTable& table, Visit visit) {
  for (const auto& [model, entry] : table.models) {
    for (const auto& servable : entry->ready) visit(*servable);
  }
}

// A family with one sample for each version that is served.
template <class Value>
void each_version(Exposition& out, const ServingTable& table, std::string_view name,
                  std::string_view type, std::string_view help, Value value) {
  out.family(name, type, help);
  each_servable(table,
                [&](const Servable& each) { out.sample(name, labels_of(each), value(each)); });
}

void write_requests(Exposition& out, const ServingTable& table) {
  out.family("sluice_requests_total", "counter", "Requests that ended, by protocol and outcome.");
  each_servable(table, [&](const Servable& each) {
    const auto ends = each.tally().ends();
    for (std::size_t protocol = 1; protocol < kProtocols; ++protocol) {
      for (std::size_t ending = 0; ending < kEndings; ++ending) {
        // Success and failure are there from the beginning, so that rates of them are.
        const bool always = protocol == static_cast<std::size_t>(Protocol::kSimpleRest) &&
                            ending <= static_cast<std::size_t>(Ending::kFailed);
        if (ends[protocol][ending] == 0 && !always) continue;
        out.sample("sluice_requests_total",
                   fmt::format("{},protocol=\"{}\",outcome=\"{}\"", labels_of(each),
                               word_of(static_cast<Protocol>(protocol)),
                               word_of(static_cast<Ending>(ending))),
                   ends[protocol][ending]);
      }
    }
  });
}

void write_histogram(Exposition& out, const std::string& labels, const Tally::Latencies& seen,
                     const std::vector<double>& ladder, const Tally::Duration& sum) {
  for (const double step : ladder) {
    out.sample("sluice_request_seconds_bucket", fmt::format("{},le=\"{}\"", labels, step),
               seen.at_most(step * 1e9));
  }
  out.sample("sluice_request_seconds_bucket", labels + ",le=\"+Inf\"", seen.count());
  out.sample("sluice_request_seconds_sum", labels, seconds(sum.ns));
  out.sample("sluice_request_seconds_count", labels, seen.count());
}

void write_times(Exposition& out, const ServingTable& table) {
  out.family(
      "sluice_request_seconds", "histogram",
      "Time of answered requests: in all, waiting for features, for a run, and in the engine.");
  each_servable(table, [&](const Servable& each) {
    const Tally& tally = each.tally();
    const auto sums = tally.sums();
    if (sums.success.count == 0) return;
    const auto stage = [&](std::string_view name, Tally::Stage which, const auto& ladder,
                           const Tally::Duration& sum) {
      write_histogram(out, fmt::format("{},stage=\"{}\"", labels_of(each), name),
                      tally.latencies(which), ladder, sum);
    };
    stage("total", Tally::kTotal, fine_ladder(), sums.success);
    stage("queue", Tally::kQueue, coarse_ladder(), sums.queue);
    stage("compute", Tally::kCompute, coarse_ladder(), sums.infer);
    if (sums.fetch.count > 0) stage("features", Tally::kFetch, coarse_ladder(), sums.fetch);
  });
}

void write_runs(Exposition& out, const ServingTable& table) {
  const auto count = [&](std::string_view name, std::string_view help, auto member) {
    each_version(out, table, name, "counter", help,
                 [&](const Servable& each) { return member(each.tally().sums()); });
  };
  count("sluice_executions_total", "Runs of the engine.",
        [](const Tally::Sums& sums) { return sums.executions; });
  count("sluice_rows_total", "Rows that were predicted, without those from the cache.",
        [](const Tally::Sums& sums) { return sums.rows; });
  count("sluice_cache_hits_total", "Answers from the cache.",
        [](const Tally::Sums& sums) { return sums.cache_hit.count; });
  count("sluice_cache_misses_total", "Answers that were looked for in the cache and not there.",
        [](const Tally::Sums& sums) { return sums.cache_miss.count; });
  each_version(out, table, "sluice_queue_requests", "gauge", "Requests that wait for the model.",
               [](const Servable& each) { return each.waiting(); });
  // A histogram: clients choose how many rows they send, and labels must not grow with that.
  out.family("sluice_batch_rows", "histogram", "Rows of a run of the engine.");
  each_servable(table, [&](const Servable& each) {
    const auto sums = each.tally().sums();
    if (sums.executions == 0) return;
    const auto batches = each.tally().batches();
    for (std::uint64_t step = 1; step <= 65536; step *= 2) {
      std::uint64_t below = 0;
      for (const auto& batch : batches) below += batch.rows <= step ? batch.count : 0;
      out.sample("sluice_batch_rows_bucket", fmt::format("{},le=\"{}\"", labels_of(each), step),
                 below);
    }
    out.sample("sluice_batch_rows_bucket", labels_of(each) + ",le=\"+Inf\"", sums.executions);
    out.sample("sluice_batch_rows_sum", labels_of(each), sums.rows);
    out.sample("sluice_batch_rows_count", labels_of(each), sums.executions);
  });
}

std::string class_name(const Servable& servable, std::size_t index) {
  const auto& names = servable.signature().class_names;
  return index < names.size() ? label_value(names[index].substr(0, 64)) : std::to_string(index);
}

void write_predictions(Exposition& out, const ServingTable& table) {
  out.family("sluice_predictions_total", "counter",
             "Predicted classes; of tensor protocols those that were looked at.");
  each_servable(table, [&](const Servable& each) {
    const auto sums = each.tally().answers().sums();
    const auto sample = [&](const std::string& name, std::uint64_t number) {
      if (number == 0) return;
      out.sample("sluice_predictions_total", fmt::format("{},class=\"{}\"", labels_of(each), name),
                 number);
    };
    for (std::size_t i = 0; i < sums.classes.size(); ++i) {
      sample(class_name(each, i), sums.classes[i]);
    }
    sample("others", sums.other_classes);
  });
  out.family("sluice_prediction_confidence", "histogram", "Confidence of predicted classes.");
  each_servable(table, [&](const Servable& each) {
    const auto sums = each.tally().answers().sums();
    if (sums.classified() == 0) return;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < sums.confidences.size(); ++i) {
      below += sums.confidences[i];
      const double step = static_cast<double>(i + 1) / AnswerCounts::kConfidences;
      out.sample("sluice_prediction_confidence_bucket",
                 fmt::format("{},le=\"{}\"", labels_of(each), step), below);
    }
    out.sample("sluice_prediction_confidence_bucket", labels_of(each) + ",le=\"+Inf\"", below);
    out.sample("sluice_prediction_confidence_sum", labels_of(each), sums.confidence_sum);
    out.sample("sluice_prediction_confidence_count", labels_of(each), below);
  });
  out.family("sluice_prediction_value", "summary", "Predicted values; quantiles to 6 %.");
  each_servable(table, [&](const Servable& each) {
    const auto sums = each.tally().answers().sums();
    const auto& values = sums.values;
    if (values.count() == 0) return;
    for (const double q : {0.05, 0.25, 0.5, 0.75, 0.95}) {
      out.sample("sluice_prediction_value", fmt::format("{},quantile=\"{}\"", labels_of(each), q),
                 values.quantile(q));
    }
    out.sample("sluice_prediction_value_sum", labels_of(each), sums.value_sum);
    out.sample("sluice_prediction_value_count", labels_of(each), values.count());
  });
  each_version(out, table, "sluice_predictions_not_finite_total", "counter",
               "Predictions that were NaN or infinite.",
               [](const Servable& each) { return each.tally().answers().sums().not_finite; });
}

void write_guards(Exposition& out, const ServingTable& table) {
  out.family("sluice_guard_violations_total", "counter",
             "Requests that a guard objected to, by feature; prediction: to the answer; input: to "
             "values that are unusual within their request.");
  each_servable(table, [&](const Servable& each) {
    for (const auto& [feature, count] : each.tally().violations()) {
      out.sample("sluice_guard_violations_total",
                 fmt::format("{},feature=\"{}\"", labels_of(each), label_value(feature)), count);
    }
  });
}

void write_states(Exposition& out, const ServingTable& table) {
  out.family("sluice_version_ready", "gauge", "1 where the version is served.");
  const auto each = [&](auto visit) {
    for (const auto& [model, entry] : table.models) {
      for (const auto& version : entry->versions) {
        visit(version, fmt::format("model=\"{}\",version=\"{}\"", model, version.name.str()));
      }
    }
  };
  each([&](const VersionEntry& version, const std::string& labels) {
    out.sample("sluice_version_ready", labels, version.state == VersionState::kReady ? 1 : 0);
  });
  out.family("sluice_loads_total", "counter", "Attempts to load the version, by outcome.");
  each([&](const VersionEntry& version, const std::string& labels) {
    out.sample("sluice_loads_total", labels + ",outcome=\"success\"", version.loads);
    out.sample("sluice_loads_total", labels + ",outcome=\"failure\"", version.failed_loads);
  });
}

}  // namespace

void write_version_metrics(Exposition& out, const ServingTable& table) {
  write_states(out, table);
  write_requests(out, table);
  write_times(out, table);
  write_runs(out, table);
  write_predictions(out, table);
  write_guards(out, table);
}

void write_triton_metrics(Exposition& out, const ServingTable& table) {
  const auto family = [&](std::string_view name, std::string_view help, auto value) {
    each_version(out, table, name, "counter", help,
                 [&](const Servable& each) { return value(each.tally().sums()); });
  };
  using Sums = Tally::Sums;
  family("nv_inference_request_success", "Number of successful inference requests",
         [](const Sums& sums) { return sums.success.count; });
  out.family("nv_inference_request_failure", "counter", "Number of failed inference requests");
  each_servable(table, [&](const Servable& each) {
    Tally::Ends ends = each.tally().ends();
    std::array<std::uint64_t, kEndings> by_ending{};
    for (const auto& of : ends) {
      for (std::size_t i = 0; i < kEndings; ++i) by_ending[i] += of[i];
    }
    const auto sample = [&](std::string_view reason, std::uint64_t count) {
      out.sample("nv_inference_request_failure",
                 fmt::format("{},reason=\"{}\"", labels_of(each), reason), count);
    };
    sample("REJECTED", by_ending[static_cast<std::size_t>(Ending::kShed)]);
    sample("CANCELED", 0);
    sample("BACKEND", by_ending[static_cast<std::size_t>(Ending::kFailed)]);
    sample("OTHER", by_ending[static_cast<std::size_t>(Ending::kMistake)] +
                        by_ending[static_cast<std::size_t>(Ending::kGuarded)]);
  });
  family("nv_inference_count", "Number of inferences performed (does not include cached requests)",
         [](const Sums& sums) { return sums.rows; });
  family("nv_inference_exec_count", "Number of model executions performed",
         [](const Sums& sums) { return sums.executions; });
  const auto micros = [&](std::string_view name, std::string_view help, auto duration) {
    family(name, help, [&](const Sums& sums) { return duration(sums).ns / 1000; });
  };
  micros("nv_inference_request_duration_us",
         "Cumulative inference request duration in microseconds",
         [](const Sums& sums) { return sums.success; });
  micros("nv_inference_queue_duration_us", "Cumulative inference queuing duration in microseconds",
         [](const Sums& sums) { return sums.queue; });
  micros("nv_inference_compute_input_duration_us",
         "Cumulative compute input duration in microseconds",
         [](const Sums& sums) { return sums.input; });
  micros("nv_inference_compute_infer_duration_us",
         "Cumulative compute inference duration in microseconds",
         [](const Sums& sums) { return sums.infer; });
  micros("nv_inference_compute_output_duration_us",
         "Cumulative inference compute output duration in microseconds",
         [](const Sums& sums) { return sums.output; });
  each_version(out, table, "nv_inference_pending_request_count", "gauge",
               "Instantaneous number of pending requests awaiting execution per-model.",
               [](const Servable& each) { return each.waiting(); });
  family("nv_cache_num_hits_per_model", "Number of cache hits per model",
         [](const Sums& sums) { return sums.cache_hit.count; });
  family("nv_cache_num_misses_per_model", "Number of cache misses per model",
         [](const Sums& sums) { return sums.cache_miss.count; });
}

}  // namespace sluice::frontends
