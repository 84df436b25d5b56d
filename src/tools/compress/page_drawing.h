// What the page of a report is drawn with: escaped text and pictures as inline SVG.
//
// Widths are in units of a picture of kPictureWidth, which the page scales. Numbers that are not
// finite are drawn as nothing; their texts are shown all the same.
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::tools::compress {

inline constexpr int kPictureWidth = 860;

// For the text and the quoted attributes of a page. What is no UTF-8 and what steers terminals
// becomes '?'; long tails are cut off.
std::string escaped(std::string_view text, std::size_t most = 400);

// Something measured twice. Each pair has its own scale, from 0 to the greater of both.
struct BeforeAfter {
  std::string name;
  double before = 0;
  double after = 0;
  std::string before_text;
  std::string after_text;
};
std::string draw_pairs(std::string_view title, const std::vector<BeforeAfter>& pairs);

// A quality before and after, near enough to see what it lost, with the least that is allowed.
struct AllowedDrop {
  std::string name;
  double before = 0;
  double after = 0;
  double least = 0;
  std::string before_text;
  std::string after_text;
  std::string least_text;
};
std::string draw_allowed_drop(const AllowedDrop& drop);

// One of many, as a bar with its value; `other` ones have the other colour.
struct Bar {
  std::string name;
  double value = 0;
  std::string text;
  bool other = false;
};
std::string draw_bars(std::string_view title, const std::vector<Bar>& bars);

}  // namespace sluice::tools::compress
