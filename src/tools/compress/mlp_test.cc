// The network that students are: its gradient against differences, what it learns, and that it
// learns the same each time.

#include "tools/compress/mlp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/random.h"
#include "tools/compress/mlp_training.h"

namespace sluice::tools::compress {
namespace {

const auto kSilent = [](double) {};
const std::atomic<bool> kRunning = false;

std::vector<float> random_row(std::size_t count, Random& random, double scale = 1) {
  std::vector<float> out(count);
  for (auto& x : out) x = static_cast<float>(scale * (2 * random.uniform() - 1));
  return out;
}

double loss_at(const Mlp& mlp, std::span<const float> row, std::span<const float> target,
               Lesson lesson, double temperature) {
  MlpPass pass(mlp);
  std::vector<float> slope(mlp.outputs());
  return loss_of(pass.forward(mlp, row), target, lesson, temperature, slope);
}

// Central differences of every parameter.
void expect_gradient(std::vector<std::size_t> widths, Lesson lesson, double temperature) {
  Random random(3);
  auto mlp = make_mlp(widths, 7);
  for (auto& layer : mlp.layers) layer.bias = random_row(layer.to, random, 0.5);
  const auto row = random_row(widths.front(), random);
  std::vector<float> target(widths.back());
  for (auto& p : target) p = static_cast<float>(0.1 + random.uniform());
  const float sum = std::accumulate(target.begin(), target.end(), 0.0F);
  if (lesson == Lesson::kClasses) {
    for (auto& p : target) p /= sum;
  } else if (lesson == Lesson::kBinary) {
    target[0] = 0.3F;
  }
  MlpPass pass(mlp);
  std::vector<float> slope(mlp.outputs());
  loss_of(pass.forward(mlp, row), target, lesson, temperature, slope);
  auto gradient = zeros_like(mlp);
  pass.backward(mlp, slope, gradient);
  constexpr float kStep = 1e-3F;
  std::size_t moved = 0;
  for (std::size_t at = 0; at < mlp.layers.size(); ++at) {
    const auto check = [&](std::vector<float>& weights, const std::vector<float>& found) {
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const float kept = weights[i];
        weights[i] = kept + kStep;
        const double above = loss_at(mlp, row, target, lesson, temperature);
        weights[i] = kept - kStep;
        const double below = loss_at(mlp, row, target, lesson, temperature);
        weights[i] = kept;
        ASSERT_NEAR(found[i], (above - below) / (2 * kStep), 2e-3 * (1 + std::abs(found[i])))
            << "layer " << at << ", " << i;
        moved += found[i] != 0 ? 1 : 0;
      }
    };
    check(mlp.layers[at].weights, gradient.layers[at].weights);
    check(mlp.layers[at].bias, gradient.layers[at].bias);
  }
  EXPECT_GT(moved, mlp.parameters() / 4);
}

TEST(Mlp, TheGradientIsThatOfTheLoss) {
  expect_gradient({5, 7, 3}, Lesson::kClasses, 1);
  expect_gradient({5, 7, 6, 4}, Lesson::kClasses, 2.5);
  expect_gradient({4, 9, 1}, Lesson::kBinary, 1);
  expect_gradient({4, 6, 5, 1}, Lesson::kBinary, 3);
  expect_gradient({3, 8, 2}, Lesson::kValues, 1);
}

TEST(Mlp, SoftTargetsAreTheSoftmaxOfDividedLogits) {
  std::vector<float> row = {0.7F, 0.2F, 0.1F};
  soften(row, Lesson::kClasses, 2);
  const double all = std::sqrt(0.7) + std::sqrt(0.2) + std::sqrt(0.1);
  EXPECT_NEAR(row[0], std::sqrt(0.7) / all, 1e-6);
  EXPECT_NEAR(row[2], std::sqrt(0.1) / all, 1e-6);
  std::vector<float> one = {0.9F};
  soften(one, Lesson::kBinary, 2);
  EXPECT_NEAR(one[0], 0.75, 1e-6);  // the logit is log 9, half of it log 3
  std::vector<float> certain = {1, 0};
  soften(certain, Lesson::kClasses, 1);
  EXPECT_NEAR(certain[0], 1, 1e-5);
  EXPECT_GT(certain[1], 0);
}

std::vector<float> answer(const TrainedMlp& trained, std::vector<float> row) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) row[i] = trained.means[i];
    if (trained.centred) row[i] -= trained.means[i];
  }
  MlpPass pass(trained.mlp);
  const auto scores = pass.forward(trained.mlp, row);
  return {scores.begin(), scores.end()};
}

TEST(MlpTraining, LearnsXor) {
  Random random(1);
  std::vector<float> rows;
  std::vector<float> targets;
  for (int i = 0; i < 2000; ++i) {
    const bool a = random.below(2) == 1;
    const bool b = random.below(2) == 1;
    rows.push_back(a ? 1 : 0);
    rows.push_back(b ? 1 : 0);
    targets.push_back(a != b ? 1 : 0);
  }
  MlpOptions options;
  options.hidden = {16};
  const auto trained = train_mlp(rows, 2, targets, 1, Lesson::kBinary, options, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  EXPECT_LT(answer(*trained, {0, 0})[0], -1);
  EXPECT_GT(answer(*trained, {0, 1})[0], 1);
  EXPECT_GT(answer(*trained, {1, 0})[0], 1);
  EXPECT_LT(answer(*trained, {1, 1})[0], -1);
}

struct Known {
  std::vector<float> rows;
  std::vector<float> targets;
};

// 1000 · sin(2 u) + 500 · v², of columns that are far from the unit's scale.
Known known_function(std::size_t count, double offset, bool missing = false) {
  Random random(5);
  Known out;
  for (std::size_t i = 0; i < count; ++i) {
    const double u = 2 * random.uniform() - 1;
    const double v = 2 * random.uniform() - 1;
    out.rows.push_back(static_cast<float>(offset + 30 * u));
    out.rows.push_back(static_cast<float>(0.001 * v));
    if (missing && i % 7 == 0) out.rows.back() = std::nanf("");
    out.targets.push_back(static_cast<float>(1000 * std::sin(2 * u) + 500 * v * v));
  }
  return out;
}

double explained(const TrainedMlp& trained, const Known& known) {
  double rest = 0;
  double all = 0;
  double mean = 0;
  for (const float y : known.targets) mean += y / static_cast<double>(known.targets.size());
  for (std::size_t i = 0; i < known.targets.size(); ++i) {
    const float found = answer(trained, {known.rows[2 * i], known.rows[2 * i + 1]})[0];
    rest += std::pow(found - known.targets[i], 2);
    all += std::pow(known.targets[i] - mean, 2);
  }
  return 1 - rest / all;
}

TEST(MlpTraining, LearnsAKnownFunctionWhateverItsUnits) {
  for (const double offset : {0.0, 100.0, 50'000.0}) {
    const auto known = known_function(4000, offset);
    const auto trained =
        train_mlp(known.rows, 2, known.targets, 1, Lesson::kValues, {}, kRunning, kSilent);
    ASSERT_TRUE(trained) << trained.error().message;
    EXPECT_EQ(trained->centred, offset == 50'000.0);
    EXPECT_FALSE(trained->any_missing);
    EXPECT_GT(explained(*trained, known), 0.995) << offset;
  }
}

TEST(MlpTraining, MissingValuesAreTheColumnsMean) {
  const auto known = known_function(3000, 10, true);
  const auto trained =
      train_mlp(known.rows, 2, known.targets, 1, Lesson::kValues, {}, kRunning, kSilent);
  ASSERT_TRUE(trained) << trained.error().message;
  EXPECT_TRUE(trained->any_missing);
  EXPECT_NEAR(trained->means[0], 10, 1);
  EXPECT_EQ(answer(*trained, {12, std::nanf("")}), answer(*trained, {12, trained->means[1]}));
  EXPECT_GT(explained(*trained, known), 0.9);
}

TEST(MlpTraining, TheSameSeedGivesTheSameBytes) {
  const auto known = known_function(500, 0);
  MlpOptions options;
  options.epochs = 5;
  const auto train = [&] {
    return *train_mlp(known.rows, 2, known.targets, 1, Lesson::kValues, options, kRunning, kSilent);
  };
  const auto first = train();
  EXPECT_EQ(train().mlp.layers[0].weights, first.mlp.layers[0].weights);
  EXPECT_EQ(train().mlp.layers[1].bias, first.mlp.layers[1].bias);
  options.seed = 2;
  EXPECT_NE(train().mlp.layers[0].weights, first.mlp.layers[0].weights);
}

TEST(MlpTraining, StopsWhenItIsTold) {
  const auto known = known_function(100, 0);
  std::atomic<bool> stop = false;
  int epochs = 0;
  const auto trained = train_mlp(known.rows, 2, known.targets, 1, Lesson::kValues, {}, stop,
                                 [&](double) { stop = ++epochs == 3; });
  ASSERT_FALSE(trained);
  EXPECT_EQ(trained.error().code, Code::kCancelled);
  EXPECT_EQ(epochs, 3);
}

}  // namespace
}  // namespace sluice::tools::compress
