// What is told of one traced request, and how it looks to a collector: plain data that is copied
// from the request when it ends, and made into OTLP's messages (proto/otlp/) off the data path.
//
// One SERVER span, `predict <model>`, from the request's arrival to its answer; below it `queue`
// until its run began and `compute` while it ran, or `cache` where its answer was given before;
// before them `features` where it waited for those.
//
// Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "core/outcome.h"
#include "core/request.h"

namespace sluice::observers {

struct SpanRecord {
  TraceContext trace;  // its `state` is in `state`
  TimePoint arrived{};
  TimePoint fetch_began{};
  TimePoint fetch_ended{};
  TimePoint submitted{};
  TimePoint run_began{};
  TimePoint run_ended{};
  TimePoint ended{};
  std::string state;
  std::string model;    // empty: it found none
  std::string version;  // empty: it found none
  std::string request_id;
  std::string_view reason;  // of its error, a literal; empty: there was none
  Protocol protocol = Protocol::kInside;
  Ending ending = Ending::kAnswered;
  bool ours = false;        // it failed, and not by the client's fault
  bool by_release = false;  // a release chose the version
  float probability = 1;    // with which it did
  bool from_cache = false;
  bool fell_back = false;
  std::size_t rows = 0;
  std::size_t run_rows = 0;  // of its batch

  bool fetched() const { return fetch_ended != TimePoint{}; }
  bool ran() const { return run_began != TimePoint{}; }
};

// Of a request that is traced and ends now. Ids longer than 128 bytes are cut; text that is not
// UTF-8 is left out.
SpanRecord record_of(const Request& request, TimePoint now);

// The span itself and its children.
std::size_t spans_of(const SpanRecord& record);

// Who sends.
struct SpanSource {
  std::string service = "sluice";
  std::string instance;  // tells two processes of a service apart
};

// An ExportTraceServiceRequest. `wall`: what the clock on the wall shows when a TimePoint is 0.
// Children get new ids here.
std::string encode_spans(std::span<const SpanRecord> records, const SpanSource& source,
                         std::chrono::nanoseconds wall);

}  // namespace sluice::observers
