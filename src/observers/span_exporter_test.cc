#include "observers/span_exporter.h"

#include <gtest/gtest.h>

#include <deque>

#include "otlp/trace_service.pb.h"

namespace sluice::observers {
namespace {

using clients::HttpAnswer;
using clients::HttpRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;

// Answers as it was told, and from then on with 200.
class Collector {
 public:
  Result<HttpAnswer> operator()(const HttpRequest& request) {
    std::unique_lock lock(mutex_);
    ExportTraceServiceRequest message;
    EXPECT_TRUE(message.ParseFromString(request.body));
    sizes_.push_back(message.resource_spans(0).scope_spans(0).spans_size());
    request_ = request;
    changed_.notify_all();
    while (hangs_ && !request.stop->load()) {
      changed_.wait_for(lock, Millis(1));
    }
    if (hangs_) return fail(Code::kCancelled, "stopped", "it was broken off");
    if (answers_.empty()) return HttpAnswer{200, {}, {}};
    auto out = std::move(answers_.front());
    answers_.pop_front();
    return out;
  }

  void answer(int status, clients::HttpHeaders headers = {}, std::string body = {}) {
    const std::lock_guard lock(mutex_);
    answers_.emplace_back(HttpAnswer{status, std::move(headers), std::move(body)});
  }
  void be_gone(int times) {
    const std::lock_guard lock(mutex_);
    for (int i = 0; i < times; ++i) answers_.emplace_back(unavailable("unreachable", "gone"));
  }
  void hang(bool hangs) {
    const std::lock_guard lock(mutex_);
    hangs_ = hangs;
    changed_.notify_all();
  }
  // Until it was asked so often.
  void wait_for(std::size_t times) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return sizes_.size() >= times; }));
  }
  // Spans of each attempt.
  std::vector<int> sizes() const {
    const std::lock_guard lock(mutex_);
    return sizes_;
  }
  HttpRequest last() const {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Result<HttpAnswer>> answers_;
  std::vector<int> sizes_;
  HttpRequest request_;
  bool hangs_ = false;
};

ExporterOptions quick() {
  ExporterOptions out;
  out.url = "http://collector/v1/traces";
  out.batch_age = Millis(1);
  out.first_pause = Millis(1);
  return out;
}

SpanExporter::Send to(Collector& collector) {
  return [&collector](const HttpRequest& request) { return collector(request); };
}

// Three spans.
SpanRecord record() {
  SpanRecord out;
  out.trace.span = 1;
  out.submitted = out.run_began = out.run_ended = TimePoint(Millis(1));
  return out;
}

template <class Condition>
bool becomes(Condition condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(Millis(1));
  }
  return false;
}

TEST(SpanExporter, PostsProtobufWithinLimits) {
  Collector collector;
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 3; }));
  const auto sent = collector.last();
  EXPECT_EQ(sent.method, "POST");
  EXPECT_EQ(sent.url, "http://collector/v1/traces");
  ASSERT_NE(clients::find_header(sent.headers, "content-type"), nullptr);
  EXPECT_EQ(*clients::find_header(sent.headers, "content-type"), "application/x-protobuf");
  EXPECT_EQ(sent.timeout, Millis(10'000));
  EXPECT_FALSE(sent.follow) << "spans go where they were sent, nowhere else";
  EXPECT_TRUE(exporter.close(Millis(5000)));
}

TEST(SpanExporter, CollectsBatches) {
  Collector collector;
  auto options = quick();
  options.batch = 6;
  options.batch_age = std::chrono::hours(1);
  SpanExporter exporter(options, to(collector));
  for (int i = 0; i < 5; ++i) exporter.add(record());
  collector.wait_for(2);
  EXPECT_EQ(collector.sizes(), (std::vector{6, 6})) << "the last waits for others";
  EXPECT_TRUE(exporter.close(Millis(5000)));
  EXPECT_EQ(collector.sizes(), (std::vector{6, 6, 3})) << "at the end it waits no longer";
  EXPECT_EQ(exporter.counts().exported, 15U);
  exporter.add(record());
  EXPECT_EQ(exporter.counts().dropped, 3U) << "who comes later is dropped";
}

TEST(SpanExporter, AsksAgainWhereItMay) {
  for (const int status : {429, 502, 503, 504}) {
    Collector collector;
    collector.answer(status);
    collector.answer(status, {{"retry-after", "0"}});
    SpanExporter exporter(quick(), to(collector));
    exporter.add(record());
    ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 3; })) << status;
    EXPECT_EQ(collector.sizes(), (std::vector{3, 3, 3})) << status;
    EXPECT_EQ(exporter.counts().failed, 0U) << status;
  }
}

TEST(SpanExporter, DoesNotAskAgainWhereItMayNot) {
  for (const int status : {400, 404, 413, 500, 301}) {
    Collector collector;
    collector.answer(status, {{"Retry-After", "0"}});
    SpanExporter exporter(quick(), to(collector));
    exporter.add(record());
    ASSERT_TRUE(becomes([&] { return exporter.counts().failed == 3; })) << status;
    EXPECT_TRUE(exporter.close(Millis(5000)));
    EXPECT_EQ(collector.sizes().size(), 1U) << status;
    EXPECT_EQ(exporter.counts().exported, 0U) << status;
  }
}

TEST(SpanExporter, GivesUpAfterFiveAttempts) {
  Collector collector;
  collector.be_gone(5);
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().failed == 3; }));
  EXPECT_EQ(collector.sizes().size(), 5U);
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 3; })) << "and goes on";
}

TEST(SpanExporter, WaitsAsLongAsItIsAsked) {
  Collector collector;
  collector.answer(503, {{"Retry-After", "3600"}});
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  collector.wait_for(1);
  exporter.add(record());
  std::this_thread::sleep_for(Millis(200));
  EXPECT_EQ(collector.sizes().size(), 1U) << "its own pause would have been a millisecond";
  EXPECT_TRUE(exporter.close(Millis(5000)));
  EXPECT_EQ(exporter.counts().exported, 6U) << "at the end it is asked once more";
}

TEST(SpanExporter, LooksAtWhatWasRejected) {
  ExportTraceServiceResponse partial;
  partial.mutable_partial_success()->set_rejected_spans(2);
  partial.mutable_partial_success()->set_error_message("no\nroom");
  Collector collector;
  collector.answer(200, {}, partial.SerializeAsString());
  collector.answer(200, {}, "\xff\xff this is no message");
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 1; }));
  EXPECT_EQ(exporter.counts().rejected, 2U);
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 4; }));
  EXPECT_EQ(exporter.counts().rejected, 2U);
}

TEST(SpanExporter, MoreIsNotRejectedThanWasSent) {
  ExportTraceServiceResponse partial;
  partial.mutable_partial_success()->set_rejected_spans(1'000'000);
  Collector collector;
  collector.answer(200, {}, partial.SerializeAsString());
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  ASSERT_TRUE(becomes([&] { return exporter.counts().rejected == 3; }));
  EXPECT_EQ(exporter.counts().exported, 0U);
}

TEST(SpanExporter, AFullQueueDropsAndCounts) {
  Collector collector;
  collector.hang(true);
  auto options = quick();
  options.queue = 4;
  SpanExporter exporter(options, to(collector));
  exporter.add(record());
  collector.wait_for(1);
  for (int i = 0; i < 10; ++i) exporter.add(record());
  EXPECT_EQ(exporter.counts().dropped, 18U) << "four of ten wait";
  collector.hang(false);
  ASSERT_TRUE(becomes([&] { return exporter.counts().exported == 15; }));
  EXPECT_EQ(exporter.counts().dropped, 18U);
}

TEST(SpanExporter, ACollectorThatHangsDoesNotHoldUpTheEnd) {
  Collector collector;
  collector.hang(true);
  SpanExporter exporter(quick(), to(collector));
  exporter.add(record());
  collector.wait_for(1);
  for (int i = 0; i < 3; ++i) exporter.add(record());
  EXPECT_TRUE(exporter.close(Millis(20)));
  const auto counts = exporter.counts();
  EXPECT_EQ(counts.exported, 0U);
  EXPECT_EQ(counts.failed + counts.dropped, 12U) << "each is accounted for";
}

TEST(SpanExporter, AtTheEndACollectorThatIsGoneIsNotAskedForever) {
  Collector collector;
  auto options = quick();
  options.batch = 3;
  options.batch_age = std::chrono::hours(1);
  collector.hang(true);
  SpanExporter exporter(options, to(collector));
  for (int i = 0; i < 8; ++i) exporter.add(record());
  collector.wait_for(1);
  collector.be_gone(100);
  std::thread closing([&] { EXPECT_TRUE(exporter.close(Millis(5000))); });
  while (exporter.counts().dropped == 0) {  // until it is closing
    exporter.add(record());
    std::this_thread::sleep_for(Millis(1));
  }
  collector.hang(false);
  closing.join();
  EXPECT_LE(collector.sizes().size(), 3U);
  EXPECT_EQ(exporter.counts().exported, 0U);
}

}  // namespace
}  // namespace sluice::observers
