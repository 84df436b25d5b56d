#include "observers/span_record.h"

#include <algorithm>

#include "base/random.h"
#include "base/text.h"
#include "core/servable.h"
#include "otlp/trace_service.pb.h"

namespace sluice::observers {
namespace {

namespace common = opentelemetry::proto::common::v1;
namespace trace = opentelemetry::proto::trace::v1;

constexpr std::size_t kMostId = 128;

// Bits of a span's flags: W3C's, and what OTLP says of the parent.
constexpr std::uint32_t kSampled = 0x1;
constexpr std::uint32_t kKnowsRemote = 0x100;
constexpr std::uint32_t kRemote = 0x200;

std::string_view id_of(const Request& request) {
  const auto id = request.request_id.substr(0, kMostId);
  return is_utf8(id) ? id : std::string_view();
}

// Answered with a fault of the server's, as HTTP's 5xx are; who cancels is not failed by us.
bool is_ours(const Request& request, Ending ending) {
  if (ending == Ending::kFailed) return true;
  if (ending == Ending::kShed) return request.reply.error->code != Code::kCancelled;
  return ending == Ending::kGuarded && request.unsound;
}

std::string bytes_of(std::uint64_t id) {
  std::string out(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(id >> (56 - 8 * i));
  return out;
}

std::string bytes_of(const std::array<std::byte, 16>& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

// What belongs to one request, and where its spans go.
class Writer {
 public:
  Writer(const SpanRecord& record, std::chrono::nanoseconds wall, trace::ScopeSpans& out)
      : record_(record), wall_(wall), out_(out) {}

  void write() {
    write_request();
    if (record_.fetched()) add_child("features", record_.fetch_began, record_.fetch_ended);
    if (record_.from_cache) {
      add_child("cache", record_.submitted, record_.run_began);
      return;
    }
    if (record_.submitted == TimePoint{}) return;  // refused before it could wait
    add_child("queue", record_.submitted, record_.ran() ? record_.run_began : record_.ended);
    if (!record_.ran()) return;
    auto& compute = add_child("compute", record_.run_began, record_.run_ended);
    add(compute, "sluice.batch.rows", std::max(record_.rows, record_.run_rows));
  }

 private:
  void write_request() {
    const std::string name = record_.model.empty() ? "predict" : "predict " + record_.model;
    trace::Span& span = add_span(name, record_.arrived, record_.ended);
    span.set_span_id(bytes_of(record_.trace.span));
    span.set_kind(trace::Span::SPAN_KIND_SERVER);
    span.set_flags(kSampled | kKnowsRemote);
    if (record_.trace.parent != 0) {
      span.set_parent_span_id(bytes_of(record_.trace.parent));
      span.set_flags(kSampled | kKnowsRemote | kRemote);
    }
    describe(span);
    if (!record_.ours) return;
    span.mutable_status()->set_code(trace::Status::STATUS_CODE_ERROR);
    // The reason and not the message, which may quote what the client sent.
    span.mutable_status()->set_message(std::string(record_.reason));
  }

  void describe(trace::Span& span) {
    add(span, "sluice.protocol", word_of(record_.protocol));
    add(span, "sluice.outcome", word_of(record_.ending));
    add(span, "sluice.rows", record_.rows);
    if (!record_.model.empty()) add(span, "sluice.model", record_.model);
    if (!record_.version.empty()) add(span, "sluice.version", record_.version);
    if (!record_.request_id.empty()) add(span, "sluice.request_id", record_.request_id);
    if (!record_.reason.empty()) add(span, "error.type", record_.reason);
    if (record_.from_cache) add(span, "sluice.from_cache", true);
    if (record_.fell_back) add(span, "sluice.fell_back", true);
    if (record_.by_release) {
      add(span, "sluice.release.probability", static_cast<double>(record_.probability));
    }
  }

  trace::Span& add_child(std::string_view name, TimePoint from, TimePoint to) {
    trace::Span& span = add_span(std::string(name), from, to);
    span.set_span_id(bytes_of(thread_random()() | 1));
    span.set_parent_span_id(bytes_of(record_.trace.span));
    span.set_kind(trace::Span::SPAN_KIND_INTERNAL);
    span.set_flags(kSampled | kKnowsRemote);
    return span;
  }

  trace::Span& add_span(const std::string& name, TimePoint from, TimePoint to) {
    trace::Span& span = *out_.add_spans();
    span.set_trace_id(bytes_of(record_.trace.trace));
    span.set_trace_state(record_.state);
    span.set_name(name);
    span.set_start_time_unix_nano(unix_nanos(from));
    span.set_end_time_unix_nano(unix_nanos(std::max(from, to)));
    return span;
  }

  std::uint64_t unix_nanos(TimePoint at) const {
    return static_cast<std::uint64_t>((at.time_since_epoch() + wall_).count());
  }

  static common::AnyValue& add(trace::Span& span, std::string_view key) {
    common::KeyValue& attribute = *span.add_attributes();
    attribute.set_key(std::string(key));
    return *attribute.mutable_value();
  }
  static void add(trace::Span& span, std::string_view key, std::string_view value) {
    add(span, key).set_string_value(std::string(value));
  }
  static void add(trace::Span& span, std::string_view key, std::size_t value) {
    add(span, key).set_int_value(static_cast<std::int64_t>(value));
  }
  static void add(trace::Span& span, std::string_view key, double value) {
    add(span, key).set_double_value(value);
  }
  static void add(trace::Span& span, std::string_view key, bool value) {
    add(span, key).set_bool_value(value);
  }

  const SpanRecord& record_;
  const std::chrono::nanoseconds wall_;
  trace::ScopeSpans& out_;
};

void add_resource(trace::ResourceSpans& out, std::string_view key, const std::string& value) {
  common::KeyValue& attribute = *out.mutable_resource()->add_attributes();
  attribute.set_key(std::string(key));
  attribute.mutable_value()->set_string_value(value);
}

}  // namespace

SpanRecord record_of(const Request& request, TimePoint now) {
  SpanRecord out;
  out.trace = *request.trace;
  out.trace.state = {};
  out.state = request.trace->state;
  out.arrived = request.arrived;
  out.fetch_began = request.fetch_began;
  out.fetch_ended = request.fetch_ended;
  out.submitted = request.submitted;
  out.run_began = request.run_began;
  out.run_ended = request.run_ended;
  out.ended = now;
  if (request.servable != nullptr) {
    out.model = request.servable->model().str();
    out.version = request.servable->version().str();
  }
  out.request_id = id_of(request);
  if (request.reply.error) out.reason = request.reply.error->reason;
  out.protocol = request.protocol;
  out.ending = ending_of(request);
  out.ours = is_ours(request, out.ending);
  out.by_release = request.choice.release != 0;
  out.probability = request.choice.probability;
  out.from_cache = request.from_cache;
  out.fell_back = request.fell_back;
  out.rows = request.rows;
  out.run_rows = request.run_rows;
  return out;
}

std::size_t spans_of(const SpanRecord& record) {
  const std::size_t before = record.fetched() ? 2 : 1;
  if (record.from_cache) return before + 1;
  if (record.submitted == TimePoint{}) return before;
  return record.ran() ? before + 2 : before + 1;
}

std::string encode_spans(std::span<const SpanRecord> records, const SpanSource& source,
                         std::chrono::nanoseconds wall) {
  opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest out;
  trace::ResourceSpans& all = *out.add_resource_spans();
  add_resource(all, "service.name", source.service);
  add_resource(all, "service.version", SLUICE_VERSION);
  add_resource(all, "service.instance.id", source.instance);
  trace::ScopeSpans& scope = *all.add_scope_spans();
  scope.mutable_scope()->set_name("sluice");
  scope.mutable_scope()->set_version(SLUICE_VERSION);
  for (const auto& record : records) Writer(record, wall, scope).write();
  return out.SerializeAsString();
}

}  // namespace sluice::observers
