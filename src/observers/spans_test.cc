#include "observers/spans.h"

#include <gtest/gtest.h>

#include <map>

#include "base/trace_context.h"
#include "otlp/trace_service.pb.h"

namespace sluice::observers {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::trace::v1::Span;
using opentelemetry::proto::trace::v1::Status;

const std::string kSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const std::string kNotSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

// On, with nothing to send: no connection is opened.
Tracer tracer_of(double share) { return Tracer({"http://127.0.0.1:9/v1/traces", share, "test"}); }

TEST(Tracer, WithoutAUrlItIsOff) {
  const Tracer tracer({});
  EXPECT_FALSE(tracer.on());
  EXPECT_EQ(tracer.counts().dropped, 0U);
}

TEST(Tracer, ACallerThatRecordsDecides) {
  const Tracer tracer = tracer_of(0);
  const auto request = make_request();
  tracer.begin(*request, kSampled, "rojo=1, congo=2");
  ASSERT_NE(request->trace, nullptr);
  EXPECT_EQ(request->trace->trace, parse_traceparent(kSampled)->trace);
  EXPECT_EQ(request->trace->parent, 0x00f067aa0ba902b7U);
  EXPECT_NE(request->trace->span, 0U);
  EXPECT_NE(request->trace->span, request->trace->parent);
  EXPECT_EQ(request->trace->state, "rojo=1,congo=2");
}

TEST(Tracer, ACallerThatDoesNotRecordDecidesToo) {
  const Tracer tracer = tracer_of(1);
  const auto request = make_request();
  tracer.begin(*request, kNotSampled, "");
  EXPECT_EQ(request->trace, nullptr);
}

TEST(Tracer, WithoutAValidCallerATraceBegins) {
  const Tracer tracer = tracer_of(1);
  for (const auto* header :
       {"", "00-xyz", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}) {
    const auto request = make_request();
    tracer.begin(*request, header, "rojo=1");
    ASSERT_NE(request->trace, nullptr) << header;
    EXPECT_EQ(request->trace->parent, 0U);
    EXPECT_NE(request->trace->trace, parse_traceparent(kSampled)->trace);
    EXPECT_EQ(request->trace->state, "") << "of a trace that was begun anew nothing is kept";
  }
  const Tracer none = tracer_of(0);
  const auto request = make_request();
  none.begin(*request, "", "");
  EXPECT_EQ(request->trace, nullptr);
}

TEST(Tracer, AShareIsAShare) {
  EXPECT_FALSE(in_share(0, 0));
  EXPECT_TRUE(in_share(~std::uint64_t{0}, 1));
  EXPECT_TRUE(in_share((std::uint64_t{1} << 63) - 1, 0.5));
  EXPECT_FALSE(in_share(std::uint64_t{1} << 63, 0.5));
  const Tracer tracer = tracer_of(0.01);
  int traced = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto request = make_request();
    tracer.begin(*request, "", "");
    traced += request->trace != nullptr ? 1 : 0;
  }
  // Six standard deviations.
  EXPECT_GT(traced, 811);
  EXPECT_LT(traced, 1189);
}

TimePoint at(int millis) { return TimePoint(std::chrono::milliseconds(1'000'000 + millis)); }

SpanRecord record() {
  SpanRecord out;
  out.trace.trace = parse_traceparent(kSampled)->trace;
  out.trace.parent = 0x00f067aa0ba902b7U;
  out.trace.span = 7;
  out.state = "rojo=1";
  out.arrived = at(0);
  out.submitted = at(1);
  out.run_began = at(3);
  out.run_ended = at(8);
  out.ended = at(9);
  out.model = "iris";
  out.version = "v1";
  out.request_id = "abc";
  out.protocol = Protocol::kOipGrpc;
  out.rows = 2;
  return out;
}

std::vector<Span> spans_in(const std::string& bytes) {
  ExportTraceServiceRequest message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  const auto& spans = message.resource_spans(0).scope_spans(0).spans();
  return {spans.begin(), spans.end()};
}

std::vector<Span> spans_in(const SpanRecord& record) {
  return spans_in(encode_spans({&record, 1}, {"test", "one"}, std::chrono::seconds(5)));
}

std::map<std::string, std::string> attributes(const Span& span) {
  std::map<std::string, std::string> out;
  for (const auto& one : span.attributes()) {
    const auto& value = one.value();
    EXPECT_EQ(out.count(one.key()), 0U) << one.key();
    out[one.key()] = value.has_string_value()   ? value.string_value()
                     : value.has_int_value()    ? std::to_string(value.int_value())
                     : value.has_double_value() ? std::to_string(value.double_value())
                                                : std::to_string(value.bool_value());
  }
  return out;
}

TEST(SpanRecord, IsASpanWithChildren) {
  const auto spans = spans_in(record());
  ASSERT_EQ(spans.size(), 3U);
  EXPECT_EQ(spans_of(record()), 3U);
  const Span& whole = spans[0];
  EXPECT_EQ(whole.name(), "predict iris");
  EXPECT_EQ(whole.kind(), Span::SPAN_KIND_SERVER);
  EXPECT_EQ(whole.span_id(), std::string("\0\0\0\0\0\0\0\7", 8));
  EXPECT_EQ(whole.parent_span_id(), std::string("\x00\xf0\x67\xaa\x0b\xa9\x02\xb7", 8));
  EXPECT_EQ(whole.flags(), 0x301U) << "sampled, with a parent elsewhere";
  EXPECT_EQ(whole.start_time_unix_nano(), 1'005'000'000'000U);
  EXPECT_EQ(whole.end_time_unix_nano(), 1'005'009'000'000U);
  EXPECT_FALSE(whole.has_status());
  const std::pair<std::string, std::pair<int, int>> children[] = {{"queue", {1, 3}},
                                                                  {"compute", {3, 8}}};
  for (std::size_t i = 0; i < 2; ++i) {
    const Span& child = spans[i + 1];
    EXPECT_EQ(child.name(), children[i].first);
    EXPECT_EQ(child.kind(), Span::SPAN_KIND_INTERNAL);
    EXPECT_EQ(child.parent_span_id(), whole.span_id());
    EXPECT_EQ(child.span_id().size(), 8U);
    EXPECT_EQ(child.flags(), 0x101U);
    EXPECT_EQ(child.start_time_unix_nano(),
              1'005'000'000'000U + 1'000'000U * children[i].second.first);
    EXPECT_EQ(child.end_time_unix_nano(),
              1'005'000'000'000U + 1'000'000U * children[i].second.second);
  }
  for (const auto& span : spans) {
    EXPECT_EQ(span.trace_state(), "rojo=1");
    EXPECT_EQ(span.trace_id().size(), 16U);
    EXPECT_EQ(span.trace_id(), whole.trace_id());
  }
}

TEST(SpanRecord, SaysWhatIsKnown) {
  auto one = record();
  one.by_release = true;
  one.probability = 0.25;
  one.run_rows = 8;
  const auto spans = spans_in(one);
  EXPECT_EQ(attributes(spans[0]),
            (std::map<std::string, std::string>{{"sluice.protocol", "oip_grpc"},
                                                {"sluice.outcome", "success"},
                                                {"sluice.rows", "2"},
                                                {"sluice.model", "iris"},
                                                {"sluice.version", "v1"},
                                                {"sluice.request_id", "abc"},
                                                {"sluice.release.probability", "0.250000"}}));
  EXPECT_EQ(attributes(spans[2]), (std::map<std::string, std::string>{{"sluice.batch.rows", "8"}}));
}

TEST(SpanRecord, WhatIsNotKnownIsLeftOut) {
  SpanRecord one;
  one.trace = record().trace;
  one.trace.parent = 0;
  one.arrived = at(0);
  one.ended = at(1);
  one.ending = Ending::kMistake;
  one.reason = "unknown_model";
  const auto spans = spans_in(one);
  ASSERT_EQ(spans.size(), 1U);
  EXPECT_EQ(spans_of(one), 1U);
  EXPECT_EQ(spans[0].name(), "predict");
  EXPECT_EQ(spans[0].parent_span_id(), "");
  EXPECT_EQ(spans[0].flags(), 0x101U);
  EXPECT_EQ(attributes(spans[0]).at("error.type"), "unknown_model");
  EXPECT_EQ(attributes(spans[0]).count("sluice.model"), 0U);
  EXPECT_FALSE(spans[0].has_status()) << "the client's mistake is not our fault";
}

TEST(SpanRecord, WhoNeverRanWaitedUntilTheEnd) {
  auto one = record();
  one.run_began = one.run_ended = {};
  one.ending = Ending::kShed;
  one.reason = "deadline";
  one.ours = true;
  const auto spans = spans_in(one);
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans_of(one), 2U);
  EXPECT_EQ(spans[1].name(), "queue");
  EXPECT_EQ(spans[1].end_time_unix_nano(), spans[0].end_time_unix_nano());
  EXPECT_EQ(spans[0].status().code(), Status::STATUS_CODE_ERROR);
  EXPECT_EQ(spans[0].status().message(), "deadline");
}

TEST(SpanRecord, AnAnswerFromTheCacheDidNotRun) {
  auto one = record();
  one.from_cache = true;
  one.run_ended = one.run_began;
  const auto spans = spans_in(one);
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_EQ(spans_of(one), 2U);
  EXPECT_EQ(spans[1].name(), "cache");
  EXPECT_EQ(attributes(spans[0]).at("sluice.from_cache"), "1");
}

TEST(SpanRecord, ComesFromARequest) {
  const auto request = make_request();
  tracer_of(1).begin(*request, kSampled, "rojo=1");
  request->protocol = Protocol::kSimpleRest;
  request->request_id = "\xff";
  const std::string long_id(1000, 'x');
  request->reply.error = Error{Code::kInternal, "internal", "a secret", {}};
  auto out = record_of(*request, at(9));
  EXPECT_EQ(out.trace.span, request->trace->span);
  EXPECT_EQ(out.state, "rojo=1");
  EXPECT_EQ(out.request_id, "") << "protobuf's texts are UTF-8";
  EXPECT_EQ(out.reason, "internal");
  EXPECT_TRUE(out.ours);
  request->request_id = long_id;
  request->reply.error = Error{Code::kCancelled, "cancelled", "", {}};
  out = record_of(*request, at(9));
  EXPECT_EQ(out.request_id.size(), 128U);
  EXPECT_FALSE(out.ours) << "who hangs up was not failed";
  request->reply.error = Error{Code::kInvalidArgument, "bad_shape", "", {}};
  EXPECT_FALSE(record_of(*request, at(9)).ours);
}

}  // namespace
}  // namespace sluice::observers
