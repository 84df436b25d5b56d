#include "tools/compress/mlp_training.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "base/random.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

// Of each column what makes it of mean 0 and variance 1, NaN left out; a constant one is left as
// it is but for its mean.
struct Scaling {
  std::vector<double> means;
  std::vector<double> deviations;
  bool any_missing = false;
};

Scaling scaling_of(std::span<const float> rows, std::size_t columns) {
  Scaling out{std::vector<double>(columns), std::vector<double>(columns), false};
  std::vector<double> counts(columns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isnan(rows[i])) {
      out.any_missing = true;
      continue;
    }
    const std::size_t column = i % columns;
    const double off = rows[i] - out.means[column];  // Welford, 1962
    out.means[column] += off / ++counts[column];
    out.deviations[column] += off * (rows[i] - out.means[column]);
  }
  for (std::size_t i = 0; i < columns; ++i) {
    // As the network will have it, which takes floats.
    out.means[i] = static_cast<float>(out.means[i]);
    const double variance = counts[i] > 0 ? out.deviations[i] / counts[i] : 0;
    out.deviations[i] = variance > 0 ? std::sqrt(variance) : 1;
  }
  return out;
}

std::vector<float> standardised(std::span<const float> rows, const Scaling& scaling) {
  std::vector<float> out(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t column = i % scaling.means.size();
    out[i] =
        std::isnan(rows[i])
            ? 0
            : static_cast<float>((rows[i] - scaling.means[column]) / scaling.deviations[column]);
  }
  return out;
}

// With the settings that its authors advise.
class Adam {
 public:
  explicit Adam(const Mlp& mlp) : first_(zeros_like(mlp)), second_(zeros_like(mlp)) {}

  void step(Mlp& mlp, const Mlp& gradient, double size) {
    fade_first_ *= kFirst;
    fade_second_ *= kSecond;
    const auto rate = static_cast<float>(size * std::sqrt(1 - fade_second_) / (1 - fade_first_));
    for (std::size_t i = 0; i < mlp.layers.size(); ++i) {
      update(mlp.layers[i].weights, gradient.layers[i].weights, first_.layers[i].weights,
             second_.layers[i].weights, rate);
      update(mlp.layers[i].bias, gradient.layers[i].bias, first_.layers[i].bias,
             second_.layers[i].bias, rate);
    }
  }

 private:
  static constexpr float kFirst = 0.9F;
  static constexpr float kSecond = 0.999F;

  static void update(std::vector<float>& weights, const std::vector<float>& gradient,
                     std::vector<float>& first, std::vector<float>& second, float rate) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      first[i] = kFirst * first[i] + (1 - kFirst) * gradient[i];
      second[i] = kSecond * second[i] + (1 - kSecond) * gradient[i] * gradient[i];
      weights[i] -= rate * first[i] / (std::sqrt(second[i]) + 1e-8F);
    }
  }

  Mlp first_;
  Mlp second_;
  double fade_first_ = 1;
  double fade_second_ = 1;
};

void scale(Mlp& mlp, float by) {
  for (auto& layer : mlp.layers) {
    for (auto& value : layer.weights) value *= by;
    for (auto& value : layer.bias) value *= by;
  }
}

void shuffle(std::span<std::size_t> items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random.below(i)]);
}

class Training {
 public:
  Training(std::vector<float> rows, std::size_t columns, std::vector<float> targets,
           std::size_t width, Lesson lesson, const MlpOptions& options)
      : rows_(std::move(rows)),
        columns_(columns),
        targets_(std::move(targets)),
        width_(width),
        lesson_(lesson),
        options_(options),
        random_(options.seed),
        mlp_(make_mlp(widths(), options.seed + 1)),
        gradient_(zeros_like(mlp_)),
        pass_(mlp_),
        slope_(width),
        adam_(mlp_) {
    order_.resize(rows_.size() / columns_);
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    shuffle(order_, random_);
    const auto watched = std::max<std::size_t>(order_.size() / 10, 1);
    watched_.assign(order_.end() - static_cast<std::ptrdiff_t>(watched), order_.end());
    order_.resize(order_.size() - watched);
  }

  Result<TrainedMlp> run(const std::atomic<bool>& stop,
                         const std::function<void(double)>& progress) {
    TrainedMlp best;
    best.loss = std::numeric_limits<double>::infinity();
    best.mlp = mlp_;
    int best_at = 0;
    int epoch = 0;
    for (; epoch < options_.epochs && epoch - best_at <= options_.patience; ++epoch) {
      if (stop) return stopped();
      progress(static_cast<double>(epoch) / options_.epochs);
      learn(options_.step * 0.5 * (1 + std::cos(std::numbers::pi * epoch / options_.epochs)));
      const double loss = watch();
      if (loss >= best.loss) continue;
      best.loss = loss;
      best.mlp = mlp_;
      best_at = epoch;
    }
    best.epochs = epoch;
    return best;
  }

 private:
  std::vector<std::size_t> widths() const {
    std::vector<std::size_t> out = {columns_};
    out.insert(out.end(), options_.hidden.begin(), options_.hidden.end());
    out.push_back(width_);
    return out;
  }

  double loss(std::size_t row) {
    const std::span targets(targets_.data() + row * width_, width_);
    const auto scores = pass_.forward(mlp_, {rows_.data() + row * columns_, columns_});
    return loss_of(scores, targets, lesson_, options_.temperature, slope_);
  }

  // All rows once, in another order each time.
  void learn(double step) {
    shuffle(order_, random_);
    for (std::size_t at = 0; at < order_.size(); at += options_.batch) {
      const auto end = std::min(at + options_.batch, order_.size());
      scale(gradient_, 0);
      for (std::size_t i = at; i < end; ++i) {
        loss(order_[i]);
        pass_.backward(mlp_, slope_, gradient_);
      }
      scale(gradient_, 1 / static_cast<float>(end - at));
      adam_.step(mlp_, gradient_, step);
    }
  }

  double watch() {
    double sum = 0;
    for (const auto row : watched_) sum += loss(row);
    return sum / static_cast<double>(watched_.size());
  }

  std::vector<float> rows_;
  std::size_t columns_;
  std::vector<float> targets_;
  std::size_t width_;
  Lesson lesson_;
  const MlpOptions& options_;
  Random random_;
  Mlp mlp_;
  Mlp gradient_;
  MlpPass pass_;
  std::vector<float> slope_;
  Adam adam_;
  std::vector<std::size_t> order_;
  std::vector<std::size_t> watched_;
};

// Beyond this many deviations a mean and its product in the bias would cancel, and take the
// precision of floats with them.
constexpr double kFarMean = 64;

// (x - mean) / deviation. Answers whether the mean still has to be taken away by others.
bool undo_inputs(Mlp& mlp, const Scaling& scaling) {
  auto& layer = mlp.layers.front();
  bool far = false;
  for (std::size_t i = 0; i < layer.from; ++i) {
    far = far || std::abs(scaling.means[i]) > kFarMean * scaling.deviations[i];
  }
  std::vector<double> bias(layer.bias.begin(), layer.bias.end());
  for (std::size_t i = 0; i < layer.weights.size(); ++i) {
    const std::size_t column = i / layer.to;
    layer.weights[i] = static_cast<float>(layer.weights[i] / scaling.deviations[column]);
    bias[i % layer.to] -= scaling.means[column] * layer.weights[i];
  }
  if (!far)
    std::ranges::transform(bias, layer.bias.begin(),
                           [](double x) { return static_cast<float>(x); });
  return far;
}

void undo_targets(Mlp& mlp, const Scaling& scaling) {
  auto& layer = mlp.layers.back();
  for (std::size_t i = 0; i < layer.weights.size(); ++i) {
    layer.weights[i] = static_cast<float>(layer.weights[i] * scaling.deviations[i % layer.to]);
  }
  for (std::size_t i = 0; i < layer.to; ++i) {
    layer.bias[i] = static_cast<float>(layer.bias[i] * scaling.deviations[i] + scaling.means[i]);
  }
}

}  // namespace

Result<TrainedMlp> train_mlp(std::span<const float> rows, std::size_t columns,
                             std::span<const float> targets, std::size_t width, Lesson lesson,
                             const MlpOptions& options, const std::atomic<bool>& stop,
                             const std::function<void(double done)>& progress) {
  if (columns == 0 || width == 0 || rows.size() / columns < 2 ||
      rows.size() / columns != targets.size() / width) {
    return internal("a student needs two rows or more, each with its target");
  }
  const Scaling inputs = scaling_of(rows, columns);
  Scaling outputs;
  std::vector<float> taught(targets.begin(), targets.end());
  if (lesson == Lesson::kValues) {
    outputs = scaling_of(targets, width);
    taught = standardised(targets, outputs);
  }
  for (std::size_t at = 0; at < taught.size(); at += width) {
    soften({taught.data() + at, width}, lesson, options.temperature);
  }
  Training training(standardised(rows, inputs), columns, std::move(taught), width, lesson, options);
  SLUICE_TRY(auto out, training.run(stop, progress));
  out.centred = undo_inputs(out.mlp, inputs);
  if (lesson == Lesson::kValues) undo_targets(out.mlp, outputs);
  out.means.assign(inputs.means.begin(), inputs.means.end());
  out.any_missing = inputs.any_missing;
  return out;
}

}  // namespace sluice::tools::compress
