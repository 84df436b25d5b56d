// Who belongs to which arm: 10,000 slots that users hash to, each slot an arm's.
//
// A change of shares moves as few slots as it can, from arms that shrink to arms that grow, so that
// raising a share never moves anybody out of that arm, with any number of arms. An arm that shrinks
// gives up the slots that it got last: whoever was in longest stays.
//
// Thread-safety: a value; immutable once it is in a route.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::routing {

inline constexpr std::size_t kSlots = 10'000;
inline constexpr std::size_t kMostArms = 64;

class SlotTable {
 public:
  SlotTable() { arms_.fill(0); }
  // `shares`: one an arm, at most kMostArms, that sum to 1.
  explicit SlotTable(std::span<const double> shares);

  // The table with other shares of the same arms, and of further ones behind them.
  SlotTable moved_to(std::span<const double> shares) const;
  // The table for other arms: `before[i]` is what the new arm i was, kNone where it is new. The
  // slots of arms that are gone are dealt out anew.
  static constexpr std::size_t kNone = ~std::size_t{0};
  SlotTable moved_to(std::span<const double> shares, std::span<const std::size_t> before) const;

  std::size_t arm(std::size_t slot) const { return arms_[slot]; }
  // Of the slots, which is within 1/20,000 of what was asked for.
  double share(std::size_t arm) const;

  // For storage: the arms' slots in the order in which they got them.
  std::string text() const;
  // Errors: kDataLoss/`bad_state`.
  static Result<SlotTable> parse(std::string_view text);

 private:
  void rebuild();

  std::vector<std::vector<std::uint16_t>> owned_;  // by arm, the newest last
  std::array<std::uint8_t, kSlots> arms_{};
};

}  // namespace sluice::routing
