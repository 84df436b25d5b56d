// Trees that are trained here, as the engine that loads them answers.

#include "engines/xgboost_trainer.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>

#include "base/random.h"
#include "core/engine.h"
#include "engines/xgboost.h"

namespace sluice::engines {
namespace {

const auto kSilent = [](double) {};
const std::atomic<bool> kRunning = false;

// 400 rows of two columns, u and v, both from -1 to 1.
std::vector<float> rows() {
  Random random(2);
  std::vector<float> out(800);
  for (auto& x : out) x = static_cast<float>(2 * random.uniform() - 1);
  return out;
}

Result<std::unique_ptr<Model>> loaded(const std::string& bytes, const char* name) {
  ModelFile file;
  file.name = name;
  const auto fd = std::make_shared<Fd>(::memfd_create("model", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd->get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  SLUICE_TRY(file.contents, FileBytes::of_copy(fd));
  return make_xgboost()->load(file, {});
}

std::vector<float> answers(const std::string& bytes, std::span<const float> values,
                           const char* name = "model.json") {
  const auto model = loaded(bytes, name);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  TensorView input;
  input.shape = {static_cast<std::int64_t>(values.size() / 2), 2};
  input.data = std::as_bytes(values);
  TensorView output;
  Arena arena;
  EXPECT_TRUE((*model)->run({&input, 1}, {&output, 1}, arena));
  const auto found = output.as<float>();
  return {found.begin(), found.end()};
}

TreeLesson lesson_of(TreeLesson::Kind kind, std::span<const float> rows,
                     std::span<const float> targets, std::size_t width = 1) {
  TreeLesson out;
  out.kind = kind;
  out.rows = rows;
  out.columns = 2;
  out.targets = targets;
  out.width = width;
  return out;
}

TEST(XgboostTrainer, LearnsNumbersFarFromZero) {
  const auto given = rows();
  std::vector<float> targets;
  for (std::size_t i = 0; i < given.size(); i += 2) {
    targets.push_back(5000 + 100 * given[i] + (given[i + 1] > 0 ? 30.0F : 0.0F));
  }
  const auto trained = train_xgboost(lesson_of(TreeLesson::Kind::kValue, given, targets), {60, 4},
                                     false, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  const auto found = answers(*trained, given);
  ASSERT_EQ(found.size(), targets.size());
  double error = 0;
  for (std::size_t i = 0; i < found.size(); ++i) error += std::abs(found[i] - targets[i]);
  EXPECT_LT(error / static_cast<double>(found.size()), 5);  // the targets' deviation is 60
}

// Where a teacher says 0.3 and 0.8, its student does not say 0 and 1.
TEST(XgboostTrainer, LearnsProbabilitiesAndNotOnlyClasses) {
  const auto given = rows();
  std::vector<float> targets;
  for (std::size_t i = 0; i < given.size(); i += 2) targets.push_back(given[i] > 0 ? 0.8F : 0.3F);
  const auto trained = train_xgboost(lesson_of(TreeLesson::Kind::kBinary, given, targets), {60, 2},
                                     false, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  const auto found = answers(*trained, given);
  ASSERT_EQ(found.size(), targets.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], targets[i], 0.05) << i;
}

TEST(XgboostTrainer, LearnsTheProbabilitiesOfSeveralClasses) {
  const auto given = rows();
  std::vector<float> targets;
  for (std::size_t i = 0; i < given.size(); i += 2) {
    const bool left = given[i] < 0;
    targets.insert(targets.end(), {left ? 0.7F : 0.1F, left ? 0.3F : 0.2F, left ? 0.0F : 0.7F});
  }
  const auto trained = train_xgboost(lesson_of(TreeLesson::Kind::kClasses, given, targets, 3),
                                     {40, 2}, true, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  const auto found = answers(*trained, given, "model.ubj");
  ASSERT_EQ(found.size(), targets.size());
  for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], targets[i], 0.05) << i;
}

TEST(XgboostTrainer, KeepsTheColumnsNamesAndGivesTheSameBytesAgain) {
  const auto given = rows();
  std::vector<float> targets;
  for (std::size_t i = 0; i < given.size(); i += 2) targets.push_back(given[i] * given[i + 1]);
  auto lesson = lesson_of(TreeLesson::Kind::kValue, given, targets);
  lesson.names = {"width", "height"};
  const auto first = train_xgboost(lesson, {5, 3}, false, kRunning, kSilent);
  const auto second = train_xgboost(lesson, {5, 3}, false, kRunning, kSilent);
  ASSERT_TRUE(first) << first.error().message;
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(*first, *second);
  EXPECT_EQ((*loaded(*first, "model.json"))->signature().columns, lesson.names);
}

TEST(XgboostTrainer, MissingValuesGoTheirOwnWay) {
  auto given = rows();
  std::vector<float> targets;
  for (std::size_t i = 0; i < given.size(); i += 2) {
    if (i % 6 == 0) given[i] = std::nanf("");
    targets.push_back(std::isnan(given[i]) ? 10.0F : given[i]);
  }
  const auto trained = train_xgboost(lesson_of(TreeLesson::Kind::kValue, given, targets), {60, 3},
                                     false, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  EXPECT_NEAR(answers(*trained, std::vector<float>{std::nanf(""), 0.5F})[0], 10, 0.3);
}

TEST(XgboostTrainer, StopsBetweenRoundsAndRefusesWhatDoesNotFit) {
  const auto given = rows();
  const std::vector<float> targets(given.size() / 2, 1);
  std::atomic<bool> stop = false;
  int rounds = 0;
  const auto lesson = lesson_of(TreeLesson::Kind::kValue, given, targets);
  const auto stopped =
      train_xgboost(lesson, {10, 3}, false, stop, [&](double) { stop = ++rounds == 2; });
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_EQ(rounds, 2);
  const auto few = lesson_of(TreeLesson::Kind::kValue, given, std::span(targets).first(3));
  EXPECT_FALSE(train_xgboost(few, {}, false, kRunning, kSilent));
}

}  // namespace
}  // namespace sluice::engines
