#include "frontends/drift_words.h"

#include <gtest/gtest.h>

#include "frontends/drift_metrics.h"

namespace sluice::frontends {
namespace {

using observers::DriftOf;
using observers::DriftOfVersion;
using observers::DriftReference;

DriftOf drifted(const std::string& name) {
  DriftOf out;
  out.name = name;
  out.reference = DriftReference::kTraining;
  out.drift.rows = 1240;
  out.drift.psi = 1.318;
  out.drift.ks = 0.51;
  out.drift.median = 61;
  out.drift.reference_median = 38;
  out.judged = out.drifted = true;
  return out;
}

DriftOfVersion version_of(std::vector<DriftOf> features) {
  DriftOfVersion out;
  out.version = "v1";
  out.rows = 1240;
  out.features = std::move(features);
  return out;
}

TEST(DriftWords, SayWhatHasChangedWithNumbers) {
  auto version = version_of({drifted("age")});
  EXPECT_EQ(sentence(version.features[0], version, {}),
            "'age' has drifted: its median is 61, in training it was 38 (PSI 1.32, "
            "Kolmogorov-Smirnov distance 0.51, 1240 rows).");
  EXPECT_EQ(status_of({version}), "drifted");
  EXPECT_EQ(summary({version}, {}),
            "1 of 1 features of version v1 has drifted, most of all 'age': its median is 61, in "
            "training it was 38 (PSI 1.32), over the last 60m.");
  version.features[0].drift.missing = 0.5;
  EXPECT_NE(sentence(version.features[0], version, {}).find("50 % of its values are missing"),
            std::string::npos);
}

TEST(DriftWords, OfClasses) {
  auto version = version_of({});
  DriftOf prediction = drifted("prediction");
  prediction.drift.median.reset();
  prediction.drift.ks.reset();
  prediction.drift.shares = {0.1, 0.9};
  prediction.drift.reference_shares = {0.4, 0.6};
  version.prediction = prediction;
  version.classes = {"no", "yes"};
  EXPECT_EQ(summary({version}, {}),
            "Predictions of version v1 have drifted: 'no' is 10 % of them, in training it was 40 % "
            "(PSI 1.32), over the last 60m.");
}

TEST(DriftWords, WhileNothingCanBeSaid) {
  DriftOptions off;
  off.enabled = false;
  EXPECT_EQ(status_of({}), "unknown");
  EXPECT_NE(summary({}, off).find("switched off"), std::string::npos);
  EXPECT_NE(summary({}, {}).find("Nothing has been predicted"), std::string::npos);
  auto version = version_of({drifted("age")});
  version.features[0].judged = version.features[0].drifted = false;
  version.rows = 7;
  EXPECT_EQ(summary({version}, {}),
            "Version v1 has 7 rows in the last 60m; 200 are needed before drift is judged.");
  version.rows = 0;
  version.baseline_rows = 12;
  EXPECT_NE(summary({version}, {}).find("version v1 has 12 of them"), std::string::npos);
}

TEST(DriftMetrics, LabelsAreEscapedAndShort) {
  EXPECT_EQ(label_value("a\"b\\c\nd"), "a\\\"b\\\\c d");
  EXPECT_EQ(label_value("\xff\xfe"), "??");
  EXPECT_EQ(label_value("größe"), "größe");
  EXPECT_EQ(label_value(std::string(1000, 'x')).size(), 64U);
  EXPECT_LE(label_value("ä" + std::string(62, 'x') + "ä").size(), 64U);
}

}  // namespace
}  // namespace sluice::frontends
