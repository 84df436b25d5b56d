// Why a model answered as it did: what each feature of a row added to the answer, compared with an
// ordinary row. Made by serving/explainer, written by the codecs.
//
// Thread-safety: plain values; the memory of an Explanation is its request's arena.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace sluice {

class Servable;

// Of one row. base_value + all attributions is what is explained.
struct RowExplanation {
  double base_value = 0;
  std::span<const double> values;        // of the features
  std::span<const double> attributions;  // one each
  std::optional<std::size_t> of_class;   // whose margin or probability it is; none: a value
  double error = 0;                      // the greatest standard error; 0 where exact
  std::size_t evaluations = 0;      // rows that the model was asked about; 0: it said so itself
  std::size_t background_rows = 0;  // that it was compared with; 0: with none
};

struct Explanation {
  std::string_view method;  // "tree_shap", "linear_shap" or "permutation_shap"
  std::string_view output;  // what is explained: "margin", "probability" or "value"
  std::span<const std::string_view> features;  // names
  std::span<const RowExplanation> rows;
};

// What a version's predictions are compared with, as far as model.yaml says so.
struct ExplainBasis {
  std::size_t budget = 2000;
  std::vector<double> rows;   // whole rows, one after the other; empty: none are given
  std::vector<double> means;  // one row: the training means; empty: unknown
};

// Rows to compare with where model.yaml has none: of recent traffic, say.
class Background {
 public:
  virtual ~Background() = default;
  // At most `most` whole rows of `width` numbers, one after the other, inputs in the order of the
  // signature; empty where there are too few to be of use. Any thread; may take its time.
  virtual std::vector<double> rows(const Servable& servable, std::size_t width,
                                   std::size_t most) const = 0;
};

}  // namespace sluice
