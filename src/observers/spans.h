// Which requests are traced, and what becomes of them (OpenTelemetry; docs/traces.md).
//
// A caller that says whether it records its trace decides (`traceparent`); where none does, the
// trace begins here and a share of them is recorded, by the lowest bits of the new trace's id,
// which is how OpenTelemetry's TraceIdRatioBased does it.
//
// Thread-safety: every function may be called from any thread; `close` by one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "clients/http.h"
#include "core/observer.h"
#include "core/request.h"
#include "observers/span_exporter.h"

namespace sluice::observers {

struct TracerOptions {
  std::string url;       // of a collector's traces, "http://host:4318/v1/traces"; empty: off
  double sample = 0.01;  // of the traces that begin here, 0 to 1
  std::string service = "sluice";  // `service.name`
};

// Whether a trace with these lowest 64 bits is in a share of 0 to 1.
bool in_share(std::uint64_t low, double share);

class Tracer {
 public:
  // Where it is on it starts a thread.
  explicit Tracer(TracerOptions options);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Off, nothing of a request is looked at.
  bool on() const { return exporter_ != nullptr; }

  // For a new request, with the headers of its call; empty: it has none.
  void begin(Request& request, std::string_view traceparent, std::string_view tracestate) const;

  // For the observer: of a request that is traced.
  void add(const Request& request) const;

  SpanCounts counts() const { return on() ? exporter_->counts() : SpanCounts(); }
  // See SpanExporter::close.
  bool close(Millis grace) { return !on() || exporter_->close(grace); }

 private:
  const double sample_;
  std::unique_ptr<const clients::HttpClient> client_;  // outlives the exporter
  std::unique_ptr<SpanExporter> exporter_;
};

// `tracer` is on, and outlives the observer.
std::unique_ptr<const Observer> make_spans(const Tracer& tracer);

}  // namespace sluice::observers
