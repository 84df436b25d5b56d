#include "tools/compress/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kWorst = 10;
constexpr double kNear = 0.01;  // of a standard deviation

// ---- classes -----------------------------------------------------------------------------------

// A label is a class's name, or its place in the list; 3 and 3.0 are the same.
bool same_class(const std::string& label, double predicted, const std::string& name) {
  const auto number = parse_double(trim(label));
  if (name.empty()) return number && *number == predicted;
  if (name == label) return true;
  const auto named = parse_double(name);
  if (named) return number && *number == *named;
  return number && *number == predicted;
}

Failure wrong_labels() {
  return invalid("wrong_labels",
                 "no label is what the model answers to its row, so that accuracy says nothing; "
                 "expected the classes' names or their numbers: name the right column with "
                 "--label");
}

const std::string& name_at(const Answers& answers, std::size_t row) {
  static const std::string kNone;
  return answers.names.empty() ? kNone : answers.names[row];
}

double accuracy(const Answers& answers, const std::vector<std::string>& labels,
                std::size_t labelled) {
  std::size_t right = 0;
  for (std::size_t row = 0; row < answers.rows(); ++row) {
    if (labels[row].empty()) continue;
    right += same_class(labels[row], answers.predictions[row], name_at(answers, row)) ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(labelled);
}

// ---- numbers -----------------------------------------------------------------------------------

struct Pair {
  double truth;
  double answer;
};

// An answer that is missing explains nothing: it counts as the mean.
double explained(const std::vector<Pair>& pairs) {
  double mean = 0;
  for (const auto& pair : pairs) mean += pair.truth / static_cast<double>(pairs.size());
  double rest = 0;
  double all = 0;
  for (const auto& pair : pairs) {
    const double off = pair.truth - (std::isfinite(pair.answer) ? pair.answer : mean);
    rest += off * off;
    all += (pair.truth - mean) * (pair.truth - mean);
  }
  if (all == 0) return rest == 0 ? 1 : 0;
  return 1 - rest / all;
}

double mean_error(const std::vector<Pair>& pairs) {
  double sum = 0;
  std::size_t count = 0;
  for (const auto& pair : pairs) {
    if (!std::isfinite(pair.answer)) continue;
    sum += std::abs(pair.truth - pair.answer);
    ++count;
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

std::vector<Pair> with_labels(const Answers& answers, const std::vector<std::string>& labels) {
  std::vector<Pair> out;
  for (std::size_t row = 0; row < answers.rows(); ++row) {
    const auto truth = parse_double(trim(labels[row]));
    // "nan" is how a table writes that there is none.
    if (truth && std::isfinite(*truth))
      out.push_back({*truth, answers.predictions[row * answers.width]});
  }
  return out;
}

std::vector<Pair> with_original(const Answers& before, const Answers& after) {
  std::vector<Pair> out;
  for (std::size_t i = 0; i < before.predictions.size(); ++i) {
    if (std::isfinite(before.predictions[i])) {
      out.push_back({before.predictions[i], after.predictions[i]});
    }
  }
  return out;
}

Score score_of(const std::vector<Pair>& pairs) { return {explained(pairs), mean_error(pairs)}; }

// What cannot be told is lost: numbers whose squares are beyond doubles say nothing.
double lost(double before, double after) {
  const double out = before - after;
  return std::isnan(out) ? 1 : std::max(0.0, out);
}

// ---- both --------------------------------------------------------------------------------------

double deviation(const std::vector<double>& values) {
  double mean = 0;
  double count = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    mean += value;
    ++count;
  }
  if (count == 0) return 0;
  mean /= count;
  double sum = 0;
  for (const double value : values) {
    if (std::isfinite(value)) sum += (value - mean) * (value - mean);
  }
  return std::sqrt(sum / count);
}

bool agrees(const Answers& before, const Answers& after, std::size_t row, double near) {
  for (std::size_t i = row * before.width; i < (row + 1) * before.width; ++i) {
    const double a = before.predictions[i];
    const double b = after.predictions[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    if (before.classified || !(std::abs(a - b) <= near)) return false;
  }
  return true;
}

bool has_answer(const Answers& answers, std::size_t row) {
  return !std::ranges::binary_search(answers.unanswered, row);
}

std::string shown(const Answers& answers, std::size_t row) {
  if (!has_answer(answers, row)) return "none";
  if (!answers.names.empty()) return printable(answers.names[row]);
  if (answers.width == 1) return fmt::format("{}", answers.predictions[row]);
  return fmt::format("{} and {} more", answers.predictions[row * answers.width], answers.width - 1);
}

// The greatest difference of a row's numbers; infinity where only one of two is finite.
struct RowDifference {
  double sum = 0;
  double greatest = 0;
  std::size_t count = 0;
};

RowDifference difference_of(const Answers& before, const Answers& after, std::size_t row) {
  RowDifference out;
  for (std::size_t i = row * before.outputs; i < (row + 1) * before.outputs; ++i) {
    const double a = before.numbers[i];
    const double b = after.numbers[i];
    if (a == b || (std::isnan(a) && std::isnan(b))) {
      ++out.count;
      continue;
    }
    const double off = std::abs(a - b);
    out.greatest = std::max(out.greatest, std::isnan(off) ? HUGE_VAL : off);
    if (!std::isfinite(off)) continue;
    out.sum += off;
    ++out.count;
  }
  return out;
}

void add_differences(const Answers& before, const Answers& after, Comparison& out) {
  double sum = 0;
  std::size_t count = 0;
  std::vector<WorstRow> rows;
  const bool comparable = before.outputs == after.outputs && before.outputs > 0;
  for (std::size_t row = 0; row < before.rows() && comparable; ++row) {
    const auto difference = difference_of(before, after, row);
    sum += difference.sum;
    count += difference.count;
    out.greatest_difference = std::max(out.greatest_difference, difference.greatest);
    if (difference.greatest > 0) rows.push_back({row, difference.greatest, {}, {}});
  }
  out.mean_difference = count == 0 ? 0 : sum / static_cast<double>(count);
  const auto most = rows.begin() + static_cast<std::ptrdiff_t>(std::min(kWorst, rows.size()));
  std::ranges::partial_sort(rows, most, std::ranges::greater(), &WorstRow::difference);
  rows.erase(most, rows.end());
  for (auto& one : rows) {
    one.before = shown(before, one.row);
    one.after = shown(after, one.row);
    ++one.row;
  }
  out.worst = std::move(rows);
}

void add_agreement(const Answers& before, const Answers& after, Comparison& out) {
  const double near = before.classified ? 0 : kNear * deviation(before.predictions);
  std::size_t same = 0;
  for (std::size_t row = 0; row < before.rows(); ++row) {
    same += agrees(before, after, row, near) ? 1 : 0;
    out.lost += has_answer(before, row) && !has_answer(after, row) ? 1 : 0;
  }
  out.agreement = static_cast<double>(same) / static_cast<double>(before.rows());
}

Result<void> add_scores(const Answers& before, const Answers& after,
                        const std::vector<std::string>& labels, Comparison& out) {
  if (out.classified) {
    const auto given = std::ranges::count_if(labels, [](const auto& one) { return !one.empty(); });
    out.labelled = static_cast<std::size_t>(given);
    if (out.labelled == 0) return {};
    out.before = Score{accuracy(before, labels, out.labelled), std::nullopt};
    out.after = Score{accuracy(after, labels, out.labelled), std::nullopt};
    if (out.before->quality == 0) return wrong_labels();
    return {};
  }
  const auto pairs = with_labels(before, labels);
  out.labelled = pairs.size();
  if (pairs.empty()) {
    return invalid("wrong_labels",
                   "no label is a number, and the model answers numbers; name the right column "
                   "with --label");
  }
  out.before = score_of(pairs);
  out.after = score_of(with_labels(after, labels));
  return {};
}

}  // namespace

Result<Comparison> compare(const Answers& before, const Answers& after,
                           const std::vector<std::string>& labels) {
  if (before.rows() != after.rows() || before.width != after.width ||
      before.classified != after.classified) {
    return invalid("other_answers",
                   "the changed model answers in another form than the original; it is no "
                   "version of it");
  }
  Comparison out;
  out.rows = before.rows();
  out.classified = before.classified && before.width == 1;
  add_agreement(before, after, out);
  add_differences(before, after, out);
  if (!labels.empty()) SLUICE_CHECK(add_scores(before, after, labels, out));
  if (out.before) {
    out.quality = out.classified ? "accuracy" : "R²";
    out.drop = lost(out.before->quality, out.after->quality);
  } else if (out.classified) {
    out.quality = "agreement";
    out.drop = 1 - out.agreement;
  } else {
    out.quality = "R² with the original";
    out.drop = lost(1, explained(with_original(before, after)));
  }
  return out;
}

}  // namespace sluice::tools::compress
