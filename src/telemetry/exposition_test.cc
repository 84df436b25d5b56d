#include "telemetry/exposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice {
namespace {

std::string written(Exposition::Format format) {
  Exposition out(format);
  out.family("a_total", "counter", "As.");
  out.sample("a_total", "model=\"m\"", 3U);
  out.family("b", "gauge", "Bs.");
  out.sample("b", "", 0.5);
  out.sample("b", "x=\"1\"", std::numeric_limits<double>::infinity());
  out.sample("b", "x=\"2\"", std::numeric_limits<double>::quiet_NaN());
  out.family("nv_c", "counter", "By another's name.");
  out.sample("nv_c", "", 1);
  return out.take();
}

TEST(Exposition, AsPrometheusReadsIt) {
  EXPECT_EQ(written(Exposition::Format::kText),
            "# HELP a_total As.\n# TYPE a_total counter\na_total{model=\"m\"} 3\n"
            "# HELP b Bs.\n# TYPE b gauge\nb 0.5\nb{x=\"1\"} +Inf\nb{x=\"2\"} NaN\n"
            "# HELP nv_c By another's name.\n# TYPE nv_c counter\nnv_c 1\n");
}

TEST(Exposition, OpenMetricsNamesCountersWithoutTheirEndingAndEnds) {
  EXPECT_EQ(written(Exposition::Format::kOpenMetrics),
            "# HELP a As.\n# TYPE a counter\na_total{model=\"m\"} 3\n"
            "# HELP b Bs.\n# TYPE b gauge\nb 0.5\nb{x=\"1\"} +Inf\nb{x=\"2\"} NaN\n"
            "# HELP nv_c By another's name.\n# TYPE nv_c unknown\nnv_c 1\n# EOF\n");
}

TEST(Exposition, LabelsOfOthersAreEscaped) {
  EXPECT_EQ(label_value("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
}

}  // namespace
}  // namespace sluice
