#include "observers/spans.h"

#include <new>
#include <utility>

#include "base/random.h"
#include "base/trace_context.h"

namespace sluice::observers {
namespace {

void store(std::uint64_t value, std::byte* out) {
  for (int i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(value >> (56 - 8 * i));
}

// A random UUID (RFC 9562, version 4).
std::string new_instance() {
  std::array<std::byte, 16> bytes{};
  store(random_seed(), bytes.data());
  store(random_seed(), bytes.data() + 8);
  bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += kDigits[std::to_integer<std::size_t>(bytes[i] >> 4)];
    out += kDigits[std::to_integer<std::size_t>(bytes[i] & std::byte{15})];
  }
  return out;
}

class Spans final : public Observer {
 public:
  explicit Spans(const Tracer& tracer) : tracer_(tracer) {}
  void on_finish(const Request& request) const noexcept override {
    if (request.trace != nullptr) tracer_.add(request);
  }

 private:
  const Tracer& tracer_;
};

}  // namespace

bool in_share(std::uint64_t low, double share) {
  return share >= 1 || (share > 0 && low < static_cast<std::uint64_t>(share * 0x1p64));
}

Tracer::Tracer(TracerOptions options) : sample_(options.sample) {
  if (options.url.empty()) return;
  client_ = std::make_unique<const clients::HttpClient>();
  ExporterOptions exporter;
  exporter.url = std::move(options.url);
  exporter.source = {std::move(options.service), new_instance()};
  exporter_ = std::make_unique<SpanExporter>(
      std::move(exporter),
      [this](const clients::HttpRequest& request) { return client_->send(request); });
}

void Tracer::begin(Request& request, std::string_view traceparent,
                   std::string_view tracestate) const {
  TraceContext trace;
  Random& random = thread_random();
  if (const auto caller = parse_traceparent(traceparent)) {
    if (!caller->sampled) return;
    trace.trace = caller->trace;
    trace.parent = caller->parent;
    if (!tracestate.empty()) trace.state = request.arena.copy(clean_tracestate(tracestate));
  } else {
    const std::uint64_t low = random();
    if (!in_share(low, sample_)) return;
    store(random() | 1, trace.trace.data());  // not all zero
    store(low, trace.trace.data() + 8);
  }
  trace.span = random() | 1;  // never 0
  const auto space = request.arena.array<TraceContext>(1);
  request.trace = new (space.data()) TraceContext(trace);
}

void Tracer::add(const Request& request) const {
  exporter_->add(record_of(request, std::chrono::steady_clock::now()));
}

std::unique_ptr<const Observer> make_spans(const Tracer& tracer) {
  return std::make_unique<Spans>(tracer);
}

}  // namespace sluice::observers
