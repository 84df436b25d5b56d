#include "app/tracing.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::app {
namespace {

using Set = std::map<std::string, std::string>;

struct Read {
  observers::TracerOptions tracer;
  std::vector<std::string> warnings;
};

Read read(const ServeOptions& options, const Set& set) {
  Read out;
  const Variables variables = [&](const char* name) -> std::optional<std::string> {
    const auto found = set.find(name);
    if (found == set.end()) return std::nullopt;
    return found->second;
  };
  out.tracer = tracer_options(options, variables, out.warnings);
  return out;
}

ServeOptions with_endpoint(std::string endpoint) {
  ServeOptions out;
  out.otlp_endpoint = std::move(endpoint);
  return out;
}

TEST(Tracing, IsOffUnlessSomebodySaysWhere) {
  EXPECT_EQ(read({}, {}).tracer.url, "");
  EXPECT_EQ(read({}, {{"OTEL_SERVICE_NAME", "shop"}, {"OTEL_TRACES_SAMPLER_ARG", "1"}}).tracer.url,
            "");
}

TEST(Tracing, TracesHaveAPathOfTheirOwn) {
  EXPECT_EQ(traces_url("http://a:4318"), "http://a:4318/v1/traces");
  EXPECT_EQ(traces_url("http://a:4318/"), "http://a:4318/v1/traces");
  EXPECT_EQ(traces_url("https://a/otlp/"), "https://a/otlp/v1/traces");
  EXPECT_EQ(traces_url("http://a:4318/v1/traces"), "http://a:4318/v1/traces");
  for (const auto* text : {"", "a:4318", "ftp://a", "http://", "http://u:p@a", "http://a?b=c",
                           "http://a#b", "grpc://a:4317"}) {
    EXPECT_EQ(traces_url(text), std::nullopt) << text;
  }
}

TEST(Tracing, OwnOptionsGoFirst) {
  const Set set = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318"},
                   {"OTEL_SERVICE_NAME", "shop"},
                   {"OTEL_TRACES_SAMPLER_ARG", "0.5"}};
  auto options = with_endpoint("http://own:4318");
  options.trace_sample = 0.0;
  options.service_name = "mine";
  const auto own = read(options, set).tracer;
  EXPECT_EQ(own.url, "http://own:4318/v1/traces");
  EXPECT_EQ(own.sample, 0.0);
  EXPECT_EQ(own.service, "mine");
  const auto standard = read({}, set).tracer;
  EXPECT_EQ(standard.url, "http://standard:4318/v1/traces");
  EXPECT_EQ(standard.sample, 0.5);
  EXPECT_EQ(standard.service, "shop");
  const auto neither = read(with_endpoint("http://own:4318"), {}).tracer;
  EXPECT_EQ(neither.sample, 0.01);
  EXPECT_EQ(neither.service, "sluice");
  EXPECT_EQ(read(with_endpoint("off"), set).tracer.url, "");
}

TEST(Tracing, TheVariableForTracesAloneIsTakenAsItStands) {
  EXPECT_EQ(read({}, {{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a:9/here"},
                      {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:4318"}})
                .tracer.url,
            "http://a:9/here");
}

TEST(Tracing, TheStandardsOwnSwitchesSwitchTheVariablesOff) {
  const Set set = {{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:4318"}};
  for (const auto& [name, value] :
       Set{{"OTEL_SDK_DISABLED", "true"}, {"OTEL_TRACES_EXPORTER", "none"}}) {
    auto more = set;
    more[name] = value;
    EXPECT_EQ(read({}, more).tracer.url, "") << name;
    EXPECT_NE(read(with_endpoint("http://own:4318"), more).tracer.url, "") << name;
  }
}

TEST(Tracing, AVariableThatCannotBeUsedIsAWarning) {
  const auto bad = read({}, {{"OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"}});
  EXPECT_EQ(bad.tracer.url, "");
  ASSERT_EQ(bad.warnings.size(), 1U);
  EXPECT_EQ(bad.warnings[0].find("localhost"), std::string::npos);
  for (const auto* share : {"half", "2", "-0.1", "nan", ""}) {
    const auto read_share = read(with_endpoint("http://a:1"), {{"OTEL_TRACES_SAMPLER_ARG", share}});
    EXPECT_EQ(read_share.tracer.sample, 0.01) << share;
    EXPECT_EQ(read_share.warnings.size(), 1U) << share;
  }
}

TEST(Tracing, BadOptionsAreMistakes) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{{"otlp_endpoint", "localhost:4318"},
                                                        {"otlp_endpoint", "http://a?b"},
                                                        {"trace_sample", "1.01"},
                                                        {"trace_sample", "nan"},
                                                        {"trace_sample", "-1"}}) {
    Node flags;
    flags.kind = Node::Kind::kMap;
    flags.entries.push_back({key, {}, Node::text(value)});
    Problems problems;
    std::vector<std::string> warnings;
    read_options("", flags, problems, warnings);
    EXPECT_EQ(problems.size(), 1U) << key << " " << value;
  }
}

}  // namespace
}  // namespace sluice::app
