#include "tools/compress/comparison.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice::tools::compress {
namespace {

using Strings = std::vector<std::string>;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Answers classes(std::vector<double> predictions, Strings names = {}) {
  Answers out;
  out.classified = true;
  out.width = 1;
  out.predictions = std::move(predictions);
  out.names = std::move(names);
  return out;
}

// A regression whose output is the prediction.
Answers numbers(std::vector<double> predictions) {
  Answers out;
  out.width = out.outputs = 1;
  out.numbers.assign(predictions.begin(), predictions.end());
  out.predictions = std::move(predictions);
  return out;
}

// With what is wrong as its measure.
Comparison compared(const Answers& before, const Answers& after, const Strings& labels = {}) {
  auto out = compare(before, after, labels);
  if (out) return *std::move(out);
  ADD_FAILURE() << out.error().message;
  return {};
}

std::string_view fault(const Answers& before, const Answers& after, const Strings& labels = {}) {
  const auto out = compare(before, after, labels);
  return out ? "nothing" : out.error().reason;
}

// ---- classes -----------------------------------------------------------------------------------

TEST(Comparison, AccuracyByTheNumbersOfClasses) {
  const auto got = compared(classes({0, 1, 2, 1}), classes({0, 1, 1, 1}), {"0", "1", "2", "2"});
  EXPECT_TRUE(got.classified);
  EXPECT_EQ(got.rows, 4U);
  EXPECT_EQ(got.labelled, 4U);
  EXPECT_EQ(got.before->quality, 0.75);
  EXPECT_EQ(got.after->quality, 0.5);
  EXPECT_EQ(got.drop, 0.25);
  EXPECT_EQ(got.quality, "accuracy");
  EXPECT_EQ(got.agreement, 0.75);
  EXPECT_FALSE(got.before->mean_error);
}

TEST(Comparison, AccuracyByTheNamesOfClasses) {
  const auto got = compared(classes({0, 1, 0}, {"cat", "dog", "cat"}),
                            classes({0, 0, 0}, {"cat", "cat", "cat"}), {"cat", "dog", "dog"});
  EXPECT_DOUBLE_EQ(got.before->quality, 2.0 / 3);
  EXPECT_DOUBLE_EQ(got.after->quality, 1.0 / 3);
}

TEST(Comparison, ALabelIsANameOrAPlaceAndThreeIsThreePointZero) {
  const auto right = [](double predicted, const std::string& name, const std::string& label) {
    // A second row that is right, since none at all is refused.
    const auto one = classes({predicted, 5}, {name, name.empty() ? "" : "five"});
    const auto got = compare(one, one, {label, name.empty() ? "5" : "five"});
    return got && got->before->quality == 1;
  };
  EXPECT_TRUE(right(3, "", "3"));
  EXPECT_TRUE(right(3, "", "3.0"));
  EXPECT_TRUE(right(3, "", " 3 "));
  EXPECT_FALSE(right(3, "", "4"));
  EXPECT_FALSE(right(3, "", "three"));
  EXPECT_TRUE(right(0, "3", "3.0"));  // a name that is a number
  EXPECT_FALSE(right(0, "3", "0"));   // so that its place is no other way to say it
  EXPECT_TRUE(right(2, "cat", "cat"));
  EXPECT_TRUE(right(2, "cat", "2"));
  EXPECT_FALSE(right(2, "cat", "dog"));
  EXPECT_FALSE(right(2, "cat", "Cat"));
}

TEST(Comparison, RowsWithoutALabelDoNotCount) {
  const auto got = compared(classes({0, 1, 1}), classes({1, 1, 1}), {"", "1", "0"});
  EXPECT_EQ(got.labelled, 2U);
  EXPECT_EQ(got.before->quality, 0.5);
  EXPECT_EQ(got.after->quality, 0.5);
  EXPECT_EQ(got.drop, 0);
}

TEST(Comparison, WithoutLabelsAgreementIsWhatIsLost) {
  for (const auto& labels : {Strings{}, Strings{"", "", "", ""}}) {
    const auto got = compared(classes({0, 1, 2, 1}), classes({0, 1, 2, 2}), labels);
    EXPECT_FALSE(got.before);
    EXPECT_EQ(got.quality, "agreement");
    EXPECT_EQ(got.drop, 0.25);
  }
}

TEST(Comparison, ABetterModelLosesNothing) {
  const auto got = compared(classes({0, 0}), classes({0, 1}), {"0", "1"});
  EXPECT_EQ(got.after->quality, 1);
  EXPECT_EQ(got.drop, 0);
}

TEST(Comparison, LabelsThatAreNoClassAreRefused) {
  EXPECT_EQ(fault(classes({0, 1}), classes({0, 1}), {"yes", "no"}), "wrong_labels");
  EXPECT_EQ(fault(classes({0, 1}, {"cat", "dog"}), classes({0, 1}, {"cat", "dog"}), {"a", "b"}),
            "wrong_labels");
  EXPECT_EQ(fault(numbers({0, 1}), numbers({0, 1}), {"a", "b"}), "wrong_labels");
}

TEST(Comparison, RowsThatOnlyTheOriginalAnswersAreLost) {
  auto before = classes({0, kNan, 1, 1});
  before.unanswered = {1};
  auto after = classes({0, kNan, kNan, 1});
  after.unanswered = {1, 2};
  EXPECT_EQ(compared(before, after).lost, 1U);
  EXPECT_EQ(compared(before, after).agreement, 0.75);
  EXPECT_EQ(compared(after, before).lost, 0U);
  EXPECT_EQ(compared(before, after, {"0", "0", "1", "1"}).after->quality, 0.5);
}

// ---- numbers -----------------------------------------------------------------------------------

TEST(Comparison, RSquaredAndTheMeanAbsoluteError) {
  // Truth 1 2 3 4: a variance of 5 in all. Off by 0.1 0.1 0.2 0.2: 0.1 in squares; by 0 0 0 1: 1.
  const auto got =
      compared(numbers({1.1, 1.9, 3.2, 3.8}), numbers({1, 2, 3, 5}), {"1", "2.0", "3", "4e0"});
  EXPECT_FALSE(got.classified);
  EXPECT_NEAR(got.before->quality, 0.98, 1e-12);
  EXPECT_NEAR(got.after->quality, 0.8, 1e-12);
  EXPECT_NEAR(*got.before->mean_error, 0.15, 1e-12);
  EXPECT_NEAR(*got.after->mean_error, 0.25, 1e-12);
  EXPECT_NEAR(got.drop, 0.18, 1e-12);
  EXPECT_EQ(got.quality, "R²");
  EXPECT_NEAR(got.mean_difference, (0.1 + 0.1 + 0.2 + 1.2) / 4, 1e-6);  // of floats
  EXPECT_NEAR(got.greatest_difference, 1.2, 1e-6);
}

TEST(Comparison, WithoutLabelsTheOriginalIsWhatIsRight) {
  const auto got = compared(numbers({1, 2, 3, 4}), numbers({1, 2, 3, 5}));
  EXPECT_NEAR(got.drop, 0.2, 1e-12);  // 1 of 5
  EXPECT_EQ(got.quality, "R² with the original");
  EXPECT_EQ(got.agreement, 0.75);
}

TEST(Comparison, NumbersAgreeWithinAHundredthOfTheDeviation) {
  // The standard deviation of 0 and 2 is 1.
  EXPECT_EQ(compared(numbers({0, 2}), numbers({0.009, 2.011})).agreement, 0.5);
  // What never varies agrees with itself alone.
  EXPECT_EQ(compared(numbers({1, 1}), numbers({1, 1.0001})).agreement, 0.5);
}

TEST(Comparison, AnAnswerThatIsNoNumberExplainsNothing) {
  // As the mean 2.5 instead of 4: 2.25 of 5.
  const auto got = compared(numbers({1, 2, 3, 4}), numbers({1, 2, 3, kNan}), {"1", "2", "3", "4"});
  EXPECT_NEAR(got.after->quality, 0.55, 1e-12);
  EXPECT_EQ(*got.after->mean_error, 0);  // of those that are
  EXPECT_EQ(got.agreement, 0.75);
  EXPECT_TRUE(std::isinf(got.greatest_difference));
  EXPECT_EQ(got.mean_difference, 0);
  ASSERT_EQ(got.worst.size(), 1U);
  EXPECT_EQ(got.worst[0].row, 4U);
  EXPECT_NEAR(compared(numbers({1, 2, 3, 4}), numbers({1, 2, 3, kNan})).drop, 0.45, 1e-12);
}

TEST(Comparison, BothNoNumberIsTheSame) {
  const auto got = compared(numbers({1, kNan}), numbers({1, kNan}));
  EXPECT_EQ(got.agreement, 1);
  EXPECT_EQ(got.drop, 0);
  EXPECT_EQ(got.greatest_difference, 0);
  EXPECT_TRUE(got.worst.empty());
}

TEST(Comparison, LabelsThatAreNoNumberHideNoLoss) {
  const auto got = compared(numbers({1, 2, 3, 4}), numbers({4, 3, 2, 1}), {"1", "2", "3", "nan"});
  EXPECT_EQ(got.labelled, 3U);
  EXPECT_NEAR(got.before->quality, 1, 1e-12);
  // 3² + 1² + 1² of a variance of 2 in all.
  EXPECT_NEAR(got.after->quality, 1 - 11.0 / 2, 1e-12);
  EXPECT_NEAR(got.drop, 5.5, 1e-12);
  EXPECT_EQ(fault(numbers({1}), numbers({1}), {"nan"}), "wrong_labels");
}

TEST(Comparison, WhatCannotBeToldIsLost) {
  const auto got = compared(numbers({1, 2}), numbers({5, 6}), {"1e300", "-1e300"});
  EXPECT_EQ(got.drop, 1);
}

TEST(Comparison, LabelsThatNeverVary) {
  EXPECT_EQ(compared(numbers({2, 2}), numbers({2, 2}), {"2", "2"}).drop, 0);
  EXPECT_EQ(compared(numbers({2, 2}), numbers({2, 3}), {"2", "2"}).drop, 1);
}

// ---- rows --------------------------------------------------------------------------------------

TEST(Comparison, TheTenWorstRowsFirst) {
  std::vector<double> before(14, 0);
  std::vector<double> after(14, 0);
  for (std::size_t i = 0; i < 12; ++i) after[i] = static_cast<double>(i) / 4;
  const auto got = compared(numbers(before), numbers(after));
  ASSERT_EQ(got.worst.size(), 10U);
  EXPECT_EQ(got.worst[0].row, 12U);  // counted from 1
  EXPECT_EQ(got.worst[0].difference, 2.75);
  EXPECT_EQ(got.worst[0].before, "0");
  EXPECT_EQ(got.worst[0].after, "2.75");
  EXPECT_EQ(got.worst[9].row, 3U);
}

TEST(Comparison, WorstRowsOfClassesAreToldByTheirOutputs) {
  auto before = classes({0, 1}, {"cat", "dog\x1b"});
  before.outputs = 2;
  before.numbers = {0.75F, 0.25F, 0.25F, 0.75F};
  auto after = classes({0, 0}, {"cat", "cat"});
  after.outputs = 2;
  after.numbers = {0.75F, 0.25F, 0.75F, 0.5F};
  const auto got = compared(before, after);
  ASSERT_EQ(got.worst.size(), 1U);
  EXPECT_EQ(got.worst[0].row, 2U);
  EXPECT_EQ(got.worst[0].difference, 0.5);
  EXPECT_EQ(got.worst[0].before, "dog?");
  EXPECT_EQ(got.worst[0].after, "cat");
  EXPECT_DOUBLE_EQ(got.mean_difference, 0.75 / 4);
}

TEST(Comparison, WidePredictions) {
  Answers before = numbers({1, 2, 3, 4});
  before.width = before.outputs = 2;
  Answers after = numbers({1, 2, 3, 9});
  after.width = after.outputs = 2;
  const auto got = compared(before, after);
  EXPECT_EQ(got.rows, 2U);
  EXPECT_EQ(got.agreement, 0.5);
  ASSERT_EQ(got.worst.size(), 1U);
  EXPECT_EQ(got.worst[0].before, "3 and 1 more");
}

TEST(Comparison, AnswersOfAnotherFormAreNoVersion) {
  EXPECT_EQ(fault(numbers({1, 2}), classes({1, 2})), "other_answers");
  EXPECT_EQ(fault(numbers({1, 2}), numbers({1, 2, 3})), "other_answers");
  Answers wide = numbers({1, 2, 3, 4});
  wide.width = 2;
  EXPECT_EQ(fault(numbers({1, 2}), wide), "other_answers");
  // Outputs of another number are only not compared.
  auto more = classes({0, 1});
  more.outputs = 3;
  more.numbers.resize(6);
  EXPECT_EQ(compared(classes({0, 1}), more).greatest_difference, 0);
}

}  // namespace
}  // namespace sluice::tools::compress
