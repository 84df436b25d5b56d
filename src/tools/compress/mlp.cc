#include "tools/compress/mlp.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/random.h"

namespace sluice::tools::compress {
namespace {

// Teachers that are certain say 0 and 1, whose logits are infinite.
constexpr double kLeast = 1e-6;

// Box and Muller's, so that a seed makes the same weights with any standard library.
double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - random.uniform()));
  return radius * std::cos(2 * std::numbers::pi * random.uniform());
}

// Pieces of a length that is known are what a compiler makes vectors of without being told to.
constexpr std::size_t kPiece = 8;

// y += a · x.
void add_scaled(float a, const float* __restrict x, float* __restrict y, std::size_t count) {
  std::size_t i = 0;
  for (; i + kPiece <= count; i += kPiece) {
    for (std::size_t k = 0; k < kPiece; ++k) y[i + k] += a * x[i + k];
  }
  for (; i < count; ++i) y[i] += a * x[i];
}

// Sums beside each other: a compiler may not reorder one.
float dot(const float* __restrict a, const float* __restrict b, std::size_t count) {
  float sums[kPiece] = {};
  std::size_t i = 0;
  for (; i + kPiece <= count; i += kPiece) {
    for (std::size_t k = 0; k < kPiece; ++k) sums[k] += a[i + k] * b[i + k];
  }
  float out = 0;
  for (const float sum : sums) out += sum;
  for (; i < count; ++i) out += a[i] * b[i];
  return out;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// log(1 + e^x), without overflow.
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

double logit(double p) {
  const double inside = std::clamp(p, kLeast, 1 - kLeast);
  return std::log(inside) - std::log1p(-inside);
}

double class_loss(std::span<const float> scores, std::span<const float> targets, double temperature,
                  std::span<float> slope) {
  const double most = *std::ranges::max_element(scores) / temperature;
  double sum = 0;
  for (const float score : scores) sum += std::exp(score / temperature - most);
  const double log_sum = std::log(sum) + most;
  double loss = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    const double log_share = scores[i] / temperature - log_sum;
    loss -= targets[i] * log_share;
    slope[i] = static_cast<float>(temperature * (std::exp(log_share) - targets[i]));
  }
  return temperature * temperature * loss;
}

double binary_loss(float score, float target, double temperature, float& slope) {
  const double x = score / temperature;
  slope = static_cast<float>(temperature * (sigmoid(x) - target));
  return temperature * temperature * (softplus(x) - target * x);
}

double squared_loss(std::span<const float> scores, std::span<const float> targets,
                    std::span<float> slope) {
  double loss = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    slope[i] = scores[i] - targets[i];
    loss += 0.5 * slope[i] * slope[i];
  }
  return loss;
}

}  // namespace

std::size_t Mlp::parameters() const {
  std::size_t out = 0;
  for (const auto& layer : layers) out += layer.weights.size() + layer.bias.size();
  return out;
}

Mlp make_mlp(std::span<const std::size_t> widths, std::uint64_t seed) {
  Random random(seed);
  Mlp out;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    DenseLayer layer{widths[i], widths[i + 1], {}, std::vector<float>(widths[i + 1])};
    const double scale = std::sqrt(2 / static_cast<double>(layer.from));
    layer.weights.resize(layer.from * layer.to);
    for (auto& weight : layer.weights) weight = static_cast<float>(scale * normal(random));
    out.layers.push_back(std::move(layer));
  }
  return out;
}

Mlp zeros_like(const Mlp& mlp) {
  Mlp out = mlp;
  for (auto& layer : out.layers) {
    std::ranges::fill(layer.weights, 0.0F);
    std::ranges::fill(layer.bias, 0.0F);
  }
  return out;
}

MlpPass::MlpPass(const Mlp& mlp) {
  values_.emplace_back(mlp.inputs());
  for (const auto& layer : mlp.layers) {
    values_.emplace_back(layer.to);
    slopes_.emplace_back(layer.to);
  }
}

std::span<const float> MlpPass::forward(const Mlp& mlp, std::span<const float> row) {
  std::ranges::copy(row, values_[0].begin());
  for (std::size_t at = 0; at < mlp.layers.size(); ++at) {
    const auto& layer = mlp.layers[at];
    const auto& from = values_[at];
    auto& to = values_[at + 1];
    std::ranges::copy(layer.bias, to.begin());
    for (std::size_t i = 0; i < layer.from; ++i) {
      if (from[i] == 0) continue;  // half of what a ReLU lets through
      add_scaled(from[i], layer.weights.data() + i * layer.to, to.data(), layer.to);
    }
    if (at + 1 == mlp.layers.size()) break;
    for (auto& value : to) value = std::max(value, 0.0F);
  }
  return values_.back();
}

void MlpPass::backward(const Mlp& mlp, std::span<const float> slope, Mlp& gradient) {
  std::ranges::copy(slope, slopes_.back().begin());
  for (std::size_t at = mlp.layers.size(); at-- > 0;) {
    const auto& layer = mlp.layers[at];
    const float* const above = slopes_[at].data();
    auto& into = gradient.layers[at];
    add_scaled(1, above, into.bias.data(), layer.to);
    for (std::size_t i = 0; i < layer.from; ++i) {
      const float value = values_[at][i];
      const bool passes = value != 0;
      if (passes) add_scaled(value, above, into.weights.data() + i * layer.to, layer.to);
      if (at == 0) continue;
      slopes_[at - 1][i] =
          value > 0 ? dot(above, layer.weights.data() + i * layer.to, layer.to) : 0;
    }
  }
}

void soften(std::span<float> row, Lesson lesson, double temperature) {
  if (lesson == Lesson::kValues) return;
  if (lesson == Lesson::kBinary) {
    row[0] = static_cast<float>(sigmoid(logit(row[0]) / temperature));
    return;
  }
  double sum = 0;
  for (auto& p : row) {
    p = static_cast<float>(std::pow(std::max<double>(p, kLeast), 1 / temperature));
    sum += p;
  }
  for (auto& p : row) p = static_cast<float>(p / sum);
}

double loss_of(std::span<const float> scores, std::span<const float> targets, Lesson lesson,
               double temperature, std::span<float> slope) {
  switch (lesson) {
    case Lesson::kClasses: return class_loss(scores, targets, temperature, slope);
    case Lesson::kBinary: return binary_loss(scores[0], targets[0], temperature, slope[0]);
    case Lesson::kValues: break;
  }
  return squared_loss(scores, targets, slope);
}

}  // namespace sluice::tools::compress
