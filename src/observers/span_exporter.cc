#include "observers/span_exporter.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "clients/retry_after.h"
#include "otlp/trace_service.pb.h"

namespace sluice::observers {
namespace {

using Clock = std::chrono::steady_clock;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

constexpr int kNice = 10;
// How often the queue is looked at: a wake for each request would cost those who answer.
constexpr Millis kLook{50};
// OTLP's default.
constexpr Millis kTimeout{10'000};
// A collector that wants to be left alone for longer is asked after this.
constexpr Millis kLongestAsked{300'000};
// After the grace, for what is broken off.
constexpr Millis kBreakOff{1500};
// The same fault is told again after this.
constexpr std::chrono::minutes kTellAgain{5};
constexpr std::uint64_t kMostAnswer = 64 << 10;

// What OpenTelemetry's specification says may be asked again.
bool is_passing(int status) {
  return status == 429 || status == 502 || status == 503 || status == 504;
}

// A share that differs from server to server, so that not all ask at the same moment.
Millis jittered(Millis pause) {
  return pause + Millis(static_cast<std::int64_t>(thread_random().uniform() * 0.2 *
                                                  static_cast<double>(pause.count())));
}

std::chrono::nanoseconds wall_clock_at_zero() {
  return std::chrono::system_clock::now().time_since_epoch() - Clock::now().time_since_epoch();
}

}  // namespace

SpanExporter::SpanExporter(ExporterOptions options, Send send)
    : options_(std::move(options)), send_(std::move(send)), queue_(options_.queue) {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "spans");
    setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kNice);
    work();
  });
}

SpanExporter::~SpanExporter() {
  close(Millis(0));
  if (thread_.joinable()) thread_.join();
}

void SpanExporter::add(SpanRecord record) {
  const auto spans = spans_of(record);
  if (closed_.load(std::memory_order_relaxed) || !queue_.push(record)) {
    dropped_.fetch_add(spans, std::memory_order_relaxed);
  }
}

SpanCounts SpanExporter::counts() const {
  return {.exported = exported_.load(std::memory_order_relaxed),
          .dropped = dropped_.load(std::memory_order_relaxed),
          .failed = failed_.load(std::memory_order_relaxed),
          .rejected = rejected_.load(std::memory_order_relaxed)};
}

bool SpanExporter::close(Millis grace) {
  closed_.store(true, std::memory_order_relaxed);
  std::unique_lock lock(mutex_);
  if (!closing_) {
    closing_ = true;
    end_ = Clock::now() + grace;
  }
  wake_.notify_all();
  const auto done = [this] { return done_; };
  if (!wake_.wait_until(lock, end_, done)) {
    stop_.store(true, std::memory_order_relaxed);
    if (!wake_.wait_for(lock, kBreakOff, done)) return false;
  }
  lock.unlock();
  if (!thread_.joinable()) return true;
  thread_.join();
  const auto all = counts();
  log::info(fmt::format("traces: {} spans exported, {} dropped, {} failed, {} rejected",
                        all.exported, all.dropped, all.failed, all.rejected));
  return true;
}

bool SpanExporter::closing() const {
  const std::lock_guard lock(mutex_);
  return closing_;
}

// For one attempt.
Millis SpanExporter::time_left() const {
  const std::lock_guard lock(mutex_);
  if (!closing_) return kTimeout;
  return std::clamp(std::chrono::duration_cast<Millis>(end_ - Clock::now()), Millis(0), kTimeout);
}

void SpanExporter::pause(Millis length) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, length, [this] { return closing_; });
}

void SpanExporter::work() {
  while (true) {
    const bool last = closing();
    fill();
    const bool full = batch_spans_ >= options_.batch;
    if (!batch_.empty() && (full || last || Clock::now() >= batch_due_)) {
      deliver();
    } else if (last) {
      break;
    } else {
      pause(kLook);
    }
  }
  const std::lock_guard lock(mutex_);
  done_ = true;
  wake_.notify_all();
}

void SpanExporter::fill() {
  SpanRecord record;
  while (batch_spans_ < options_.batch && queue_.pop(record)) {
    if (batch_.empty()) batch_due_ = Clock::now() + options_.batch_age;
    batch_spans_ += spans_of(record);
    batch_.push_back(std::move(record));
  }
}

// Sends the batch, as often as it takes or is allowed.
void SpanExporter::deliver() {
  clients::HttpRequest request;
  request.method = "POST";
  request.url = options_.url;
  request.headers = {{"Content-Type", "application/x-protobuf"}};
  request.stall_rate = 0;  // the whole has its time
  request.max_body = kMostAnswer;
  request.stop = &stop_;
  if (!gave_up_) request.body = encode_spans(batch_, options_.source, wall_clock_at_zero());
  const auto spans = std::exchange(batch_spans_, 0);
  batch_.clear();
  Millis wait = options_.first_pause;
  for (int left = options_.attempts; left > 0; --left) {
    if (gave_up_ || time_left() == Millis(0)) {
      gave_up_ = true;
      dropped_.fetch_add(spans, std::memory_order_relaxed);
      return;
    }
    Millis at_least{0};
    if (!attempt(request, spans, at_least)) return;
    gave_up_ = closing();  // there is no time to ask again
    if (gave_up_ || left == 1) break;
    pause(std::max(jittered(wait), std::min(at_least, kLongestAsked)));
    wait = std::min(wait * 2, options_.longest_pause);
  }
  failed_.fetch_add(spans, std::memory_order_relaxed);
}

// True: it is worth another. What became of the spans is counted otherwise.
bool SpanExporter::attempt(clients::HttpRequest& request, std::size_t spans, Millis& at_least) {
  request.timeout = request.connect_timeout = time_left();
  const auto verdict = judge(send_(request), spans);
  tell(verdict);
  at_least = verdict.at_least;
  if (verdict.taken || verdict.again) return verdict.again;
  failed_.fetch_add(spans, std::memory_order_relaxed);
  return false;
}

SpanExporter::Verdict SpanExporter::judge(const Result<clients::HttpAnswer>& answer,
                                          std::size_t spans) {
  Verdict out;
  if (!answer) {
    out.again = answer.error().code == Code::kUnavailable;
    out.why = "cannot be reached: " + answer.error().message;
    return out;
  }
  if (answer->status < 200 || answer->status > 299) {
    out.again = is_passing(answer->status);
    out.why = "answers " + std::to_string(answer->status);
    const auto* named = clients::find_header(answer->headers, "Retry-After");
    if (out.again && named != nullptr) {
      const auto after = clients::parse_retry_after(*named, std::chrono::system_clock::now());
      out.at_least = after.value_or(std::chrono::seconds(0));
    }
    return out;
  }
  out.taken = true;
  ExportTraceServiceResponse response;
  // One that cannot be read was a success all the same.
  if (!response.ParseFromString(answer->body)) response.Clear();
  const auto& partial = response.partial_success();
  const auto rejected = std::min<std::uint64_t>(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, partial.rejected_spans())), spans);
  rejected_.fetch_add(rejected, std::memory_order_relaxed);
  exported_.fetch_add(spans - rejected, std::memory_order_relaxed);
  if (rejected > 0 || !partial.error_message().empty()) {
    out.why = "rejects " + std::to_string(rejected) + " spans of a batch, saying '" +
              printable(partial.error_message(), 200) + "'";
  }
  return out;
}

// What is new, and what is still so after a while.
void SpanExporter::tell(const Verdict& verdict) {
  if (stop_.load(std::memory_order_relaxed)) return;  // we broke it off ourselves
  if (verdict.why == told_ && (told_.empty() || Clock::now() - told_at_ < kTellAgain)) return;
  if (verdict.why.empty()) {
    log::info("traces: the collector takes spans again");
  } else if (verdict.taken) {
    log::warn("traces: the collector " + verdict.why);
  } else {
    log::warn("traces: the collector " + verdict.why +
              (verdict.again ? "; it is asked again, and spans that find no room are dropped"
                             : "; spans are lost: is otlp_endpoint one for OTLP over HTTP?"));
  }
  told_ = verdict.why;
  told_at_ = Clock::now();
}

}  // namespace sluice::observers
