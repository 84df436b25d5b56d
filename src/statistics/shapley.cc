#include "statistics/shapley.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <string>

#include "base/random.h"

namespace sluice::statistics {
namespace {

// Halves of a pair that differ by less than this part of the values they come from agree: most
// models answer in single precision.
constexpr double kRounding = 1e-6;
// Standard errors from fewer degrees of freedom than this are too rough to stop by.
constexpr std::size_t kLeastFreedom = 10;

// Rows on their way to the function: asked about in calls of `at_once`, answers in order.
class Asking {
 public:
  Asking(const EvaluateRows& evaluate, std::size_t width, std::size_t at_once)
      : evaluate_(evaluate), width_(width), at_once_(std::max<std::size_t>(1, at_once)) {}

  Result<void> add(std::span<const double> row) {
    rows_.insert(rows_.end(), row.begin(), row.end());
    return ++waiting_ == at_once_ ? ask() : Result<void>();
  }
  // Of all rows since the last call; valid until the next `add`.
  Result<std::span<const double>> answers() {
    if (waiting_ > 0) SLUICE_CHECK(ask());
    done_ = true;
    return std::span<const double>(answers_);
  }
  std::size_t asked() const { return asked_; }

 private:
  Result<void> ask() {
    if (done_) answers_.clear();
    done_ = false;
    const auto first = answers_.size();
    answers_.resize(first + waiting_);
    const auto fresh = std::span(answers_).subspan(first);
    SLUICE_CHECK(evaluate_(rows_, fresh));
    asked_ += waiting_;
    waiting_ = 0;
    rows_.clear();
    if (std::ranges::all_of(fresh, [](double answer) { return std::isfinite(answer); })) return {};
    return fail(Code::kFailedPrecondition, "not_explainable",
                "the model's answer for a mixture of this row and a background row is not a "
                "finite number; choose a background of rows that the model can answer");
  }

  const EvaluateRows& evaluate_;
  const std::size_t width_;
  const std::size_t at_once_;
  std::vector<double> rows_;
  std::vector<double> answers_;
  std::size_t waiting_ = 0;
  std::size_t asked_ = 0;
  bool done_ = false;  // answers_ have been handed out
};

// The row against one background row.
struct Game {
  std::span<const double> background;
  std::vector<std::size_t> features;  // those that differ
  double base = 0;                    // the background row's answer
  std::vector<double> means;          // of each of `features`, over the pairs so far

  std::size_t players() const { return features.size(); }
};

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

Game make_game(std::span<const double> background, std::span<const double> row) {
  Game game{background, {}, 0, {}};
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (!same(background[i], row[i])) game.features.push_back(i);
  }
  game.means.resize(game.players());
  return game;
}

// Rows of a pair of walks between both ends, which are known.
std::size_t pair_cost(const Game& game) {
  return game.players() < 2 ? 0 : 2 * (game.players() - 1);
}

// Of every subset of every game; more than `most` is not counted on.
std::size_t subsets(const std::vector<Game>& games, std::size_t most) {
  std::size_t out = 0;
  for (const auto& game : games) {
    if (game.players() >= 40) return most + 1;
    out += std::size_t{1} << game.players();
    if (out > most) return most + 1;
  }
  return out;
}

class Explaining {
 public:
  Explaining(std::span<const double> background, std::span<const double> row,
             const EvaluateRows& evaluate, const ShapleyOptions& options)
      : row_(row),
        options_(options),
        asking_(evaluate, row.size(), options.at_once),
        random_(options.seed),
        mixed_(row.size()) {
    for (std::size_t at = 0; at < background.size(); at += row.size()) {
      games_.push_back(make_game(background.subspan(at, row.size()), row));
    }
    out_.attributions.resize(row.size());
    out_.errors.resize(row.size());
  }

  Result<ShapleyValues> run() {
    if (subsets(games_, options_.budget) <= options_.budget) {
      SLUICE_CHECK(enumerate());
    } else {
      SLUICE_CHECK(sample());
    }
    out_.evaluations = asking_.asked();
    out_.background_rows = games_.size();
    return std::move(out_);
  }

 private:
  double share() const { return 1 / static_cast<double>(games_.size()); }

  // Every subset: bit j of a mask says that the game's feature j has arrived.
  Result<void> enumerate() {
    for (const auto& game : games_) SLUICE_CHECK(ask_subsets(game));
    SLUICE_TRY(const auto answers, asking_.answers());
    std::size_t at = 0;
    for (const auto& game : games_) {
      const auto worth = answers.subspan(at, std::size_t{1} << game.players());
      at += worth.size();
      out_.base_value += worth.front() * share();
      out_.answer = worth.back();
      add_subsets(game, worth);
    }
    out_.exact = true;
    return {};
  }

  Result<void> ask_subsets(const Game& game) {
    for (std::size_t mask = 0; mask < std::size_t{1} << game.players(); ++mask) {
      std::ranges::copy(game.background, mixed_.begin());
      for (std::size_t j = 0; j < game.players(); ++j) {
        if ((mask >> j & 1) != 0) mixed_[game.features[j]] = row_[game.features[j]];
      }
      SLUICE_CHECK(asking_.add(mixed_));
    }
    return {};
  }

  // A set of s others comes first in s! (n - 1 - s)! of the n! orders.
  void add_subsets(const Game& game, std::span<const double> worth) {
    const std::size_t n = game.players();
    std::vector<double> weights(n, share() / static_cast<double>(std::max<std::size_t>(n, 1)));
    for (std::size_t s = 1; s < n; ++s) {
      weights[s] = weights[s - 1] * static_cast<double>(s) / static_cast<double>(n - s);
    }
    for (std::size_t j = 0; j < n; ++j) {
      const std::size_t bit = std::size_t{1} << j;
      for (std::size_t mask = 0; mask < worth.size(); ++mask) {
        if ((mask & bit) != 0) continue;
        const auto size = static_cast<std::size_t>(std::popcount(mask));
        out_.attributions[game.features[j]] += weights[size] * (worth[mask | bit] - worth[mask]);
      }
    }
  }

  Result<void> sample() {
    SLUICE_CHECK(take_games());
    SLUICE_CHECK(ask_ends());
    std::size_t cost = 0;
    for (const auto& game : games_) cost += pair_cost(game);
    spread_.assign(row_.size(), 0);
    do {
      SLUICE_CHECK(walk());
      set_errors();
    } while (asking_.asked() + cost <= options_.budget && !good_enough());
    return {};
  }

  // As many background rows as two pairs each can be afforded for, since one pair alone says little
  // of its error; at least one row, and then one pair will do.
  Result<void> take_games() {
    for (std::size_t i = games_.size(); i > 1; --i) {
      std::swap(games_[i - 1], games_[random_.below(i)]);
    }
    std::size_t taken = 0;
    std::size_t cost = 1;
    while (taken < games_.size()) {
      const std::size_t next = 1 + 2 * pair_cost(games_[taken]);
      if (cost + next > options_.budget) break;
      cost += next;
      ++taken;
    }
    if (taken == 0) {
      const auto cheapest = std::ranges::min_element(games_, {}, pair_cost);
      const std::size_t least = 2 + pair_cost(*cheapest);
      if (least > options_.budget) return too_little(least);
      std::swap(games_.front(), *cheapest);
      taken = 1;
    }
    games_.resize(taken);
    return {};
  }

  Failure too_little(std::size_t least) const {
    return invalid("not_explainable",
                   "explaining this row takes at least " + std::to_string(least) +
                       " evaluations of the model, and the budget is " +
                       std::to_string(options_.budget) + "; allow a larger budget");
  }

  Result<void> ask_ends() {
    SLUICE_CHECK(asking_.add(row_));
    for (const auto& game : games_) SLUICE_CHECK(asking_.add(game.background));
    SLUICE_TRY(const auto answers, asking_.answers());
    out_.answer = answers[0];
    for (std::size_t g = 0; g < games_.size(); ++g) {
      games_[g].base = answers[g + 1];
      out_.base_value += games_[g].base * share();
    }
    return {};
  }

  // One more pair for each game.
  Result<void> walk() {
    orders_.clear();
    for (const auto& game : games_) {
      auto& order = orders_.emplace_back(game.players());
      std::iota(order.begin(), order.end(), std::size_t{0});
      for (std::size_t i = order.size(); i > 1; --i) {
        std::swap(order[i - 1], order[random_.below(i)]);
      }
      SLUICE_CHECK(ask_walk(game, order));
      SLUICE_CHECK(ask_walk(game, {order.rbegin(), order.rend()}));
    }
    SLUICE_TRY(const auto answers, asking_.answers());
    ++pairs_;
    std::size_t at = 0;
    std::ranges::fill(out_.attributions, 0);
    for (std::size_t g = 0; g < games_.size(); ++g) {
      const std::size_t steps = pair_cost(games_[g]) / 2;
      add_pair(games_[g], orders_[g], answers.subspan(at, steps),
               answers.subspan(at + steps, steps));
      at += 2 * steps;
    }
    return {};
  }

  // What lies between both ends: all but the last feature arrive one after the other.
  Result<void> ask_walk(const Game& game, const std::vector<std::size_t>& order) {
    std::ranges::copy(game.background, mixed_.begin());
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
      const auto feature = game.features[order[i]];
      mixed_[feature] = row_[feature];
      SLUICE_CHECK(asking_.add(mixed_));
    }
    return {};
  }

  void add_pair(Game& game, const std::vector<std::size_t>& order, std::span<const double> forward,
                std::span<const double> backward) {
    const std::size_t n = game.players();
    for (std::size_t i = 0; i < n; ++i) {
      const double there = step(game, forward, i);
      const double back = step(game, backward, n - 1 - i);
      const double size = std::abs(there) + std::abs(back) + std::abs(out_.answer);
      if (std::abs(there - back) > kRounding * size) agree_ = false;
      const double value = (there + back) / 2;
      double& mean = game.means[order[i]];
      const double delta = value - mean;
      mean += delta / static_cast<double>(pairs_);
      const auto feature = game.features[order[i]];
      out_.attributions[feature] += mean * share();
      // Of one pair only its halves are known: they count as two draws of their own.
      if (pairs_ == 1) {
        first_spread_.resize(row_.size());
        first_spread_[feature] += (there - back) * (there - back) / 4;
      } else {
        spread_[feature] += delta * (value - mean);
      }
    }
  }

  // What the feature in place `i` of a walk adds.
  double step(const Game& game, std::span<const double> between, std::size_t i) const {
    const double before = i == 0 ? game.base : between[i - 1];
    const double after = i == between.size() ? out_.answer : between[i];
    return after - before;
  }

  // The mean over games of means over pairs: its variance is the sum of the games' own by the
  // square of their number.
  void set_errors() {
    const auto count = static_cast<double>(pairs_);
    for (std::size_t i = 0; i < row_.size(); ++i) {
      const double sum = pairs_ == 1 ? (first_spread_.empty() ? 0 : first_spread_[i])
                                     : spread_[i] / ((count - 1) * count);
      out_.errors[i] = std::sqrt(std::max(0.0, sum)) * share();
    }
  }

  // Where features do not act together, the halves of all pairs agree, and one pair finds all there
  // is; a second one (of this or another game) must have seen the same.
  bool good_enough() const {
    if (agree_ && pairs_ * games_.size() >= 2) return true;
    if (options_.tolerance <= 0 || (pairs_ - 1) * games_.size() < kLeastFreedom) return false;
    const auto size = [](double value) { return std::abs(value); };
    const double greatest = size(*std::ranges::max_element(out_.attributions, {}, size));
    return std::ranges::max(out_.errors) <= options_.tolerance * greatest;
  }

  const std::span<const double> row_;
  const ShapleyOptions& options_;
  Asking asking_;
  Random random_;
  std::vector<double> mixed_;
  std::vector<Game> games_;
  std::vector<std::vector<std::size_t>> orders_;  // of each game: its walk
  std::size_t pairs_ = 0;                         // of each game, so far
  bool agree_ = true;                             // both halves of all pairs
  std::vector<double> spread_;                    // per feature: squares about the games' own means
  std::vector<double> first_spread_;  // per feature: squares of half the halves' differences
  ShapleyValues out_;
};

}  // namespace

Result<ShapleyValues> shapley_values(std::span<const double> background,
                                     std::span<const double> row, const EvaluateRows& evaluate,
                                     const ShapleyOptions& options) {
  if (row.empty() || background.empty() || background.size() % row.size() != 0) {
    return internal("a background that is not of whole rows as wide as the explained one");
  }
  return Explaining(background, row, evaluate, options).run();
}

}  // namespace sluice::statistics
