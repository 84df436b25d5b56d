// Explanations as a picture: bars of the mean size of attributions, and for each row a waterfall
// from the base value to the answer.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::app {

// One row, read from an answer.
struct Explained {
  struct Feature {
    std::string name;
    std::string value;
    double attribution = 0;
  };
  std::string title;   // "row 1: prediction 0 (malignant)"
  std::string output;  // what is explained: "probability of class 0"
  double base_value = 0;
  std::vector<Feature> features;

  double answer() const;  // base_value and all attributions
  // Indices of `features`, the greatest attributions first.
  std::vector<std::size_t> by_size() const;
};

// The mean over rows of each feature's attribution without its sign, the greatest first. Features
// are those of the first row.
std::vector<Explained::Feature> mean_sizes(const std::vector<Explained>& rows);

// One document that refers to nothing outside; light or dark as its reader's system is.
std::string explain_html(std::string_view heading, const std::vector<Explained>& rows);
std::string explain_svg(std::string_view heading, const std::vector<Explained>& rows);

}  // namespace sluice::app
