// A small network of dense layers with ReLU between them, and its gradient.
//
// The gradient is back-propagation (Rumelhart, Hinton and Williams, Nature 323, 1986). What it is
// taught are a teacher's probabilities, softened by a temperature T: both sides' logits are divided
// by T before the softmax, and the loss is multiplied by T² so that its gradient keeps its size
// (Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, section 2).
//
// Thread-safety: plain values and functions without state. The same calls give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::tools::compress {

// y = x · weights + bias.
struct DenseLayer {
  std::size_t from = 0;
  std::size_t to = 0;
  std::vector<float> weights;  // [from][to]
  std::vector<float> bias;     // [to]
};

struct Mlp {
  std::vector<DenseLayer> layers;  // at least one

  std::size_t inputs() const { return layers.front().from; }
  std::size_t outputs() const { return layers.back().to; }
  std::size_t parameters() const;
};

// `widths`: of the inputs, of each hidden layer, of the outputs. Random weights of variance 2 /
// from (He and others, "Delving Deep into Rectifiers", 2015), biases 0.
Mlp make_mlp(std::span<const std::size_t> widths, std::uint64_t seed);
// The same shape, all zero: a gradient, or what an optimiser remembers.
Mlp zeros_like(const Mlp& mlp);

// What a student is taught: what its last layer's scores are.
enum class Lesson : std::uint8_t {
  kClasses,  // one logit for each class, before a softmax
  kBinary,   // the logit of the second of two classes, before a sigmoid
  kValues,   // numbers, taught by their squared error
};

// Runs a network forwards and backwards, row by row, in memory of its own.
class MlpPass {
 public:
  explicit MlpPass(const Mlp& mlp);

  // The scores of a row; they are good until the next call.
  std::span<const float> forward(const Mlp& mlp, std::span<const float> row);
  // After `forward` of the same row: adds the gradient of the loss to `gradient`, where `slope` is
  // its derivative by the scores.
  void backward(const Mlp& mlp, std::span<const float> slope, Mlp& gradient);

 private:
  std::vector<std::vector<float>> values_;  // of the inputs, then of each layer after its ReLU
  std::vector<std::vector<float>> slopes_;  // by each layer's scores
};

// Probabilities as they are taught at a temperature, in place: `row` has as many as there are
// classes, or for kBinary the one of the second class. kValues stay.
void soften(std::span<float> row, Lesson lesson, double temperature);

// The loss of scores against softened targets; its derivative by the scores goes into `slope`.
double loss_of(std::span<const float> scores, std::span<const float> targets, Lesson lesson,
               double temperature, std::span<float> slope);

}  // namespace sluice::tools::compress
