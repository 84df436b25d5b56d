#include "routing/slot_table.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/text.h"

namespace sluice::routing {
namespace {

// How many slots each arm gets: rounded down, and the rest to the greatest remainders.
std::vector<std::size_t> counts_of(std::span<const double> shares) {
  std::vector<std::size_t> out(shares.size());
  std::vector<std::size_t> order(shares.size());
  std::vector<double> rest(shares.size());
  std::size_t given = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    const double exact = std::max(0.0, shares[i]) * kSlots;
    // A share of 0.07 is 700 slots, whatever 0.07 * 10000 is in binary.
    out[i] = std::min(kSlots - given, static_cast<std::size_t>(exact + 1e-6));
    given += out[i];
    rest[i] = exact - static_cast<double>(out[i]);
  }
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return rest[i]; });
  for (std::size_t i = 0; given < kSlots && !order.empty(); ++i) {
    const std::size_t arm = order[i % order.size()];
    if (shares[arm] > 0) {
      ++out[arm];
      ++given;
    }
  }
  return out;
}

}  // namespace

SlotTable::SlotTable(std::span<const double> shares) {
  const auto counts = counts_of(shares);
  std::uint16_t next = 0;
  for (const std::size_t count : counts) {
    auto& slots = owned_.emplace_back(count);
    for (auto& slot : slots) slot = next++;
  }
  rebuild();
}

SlotTable SlotTable::moved_to(std::span<const double> shares) const {
  std::vector<std::size_t> same(shares.size());
  std::iota(same.begin(), same.end(), std::size_t{0});
  return moved_to(shares, same);
}

SlotTable SlotTable::moved_to(std::span<const double> shares,
                              std::span<const std::size_t> before) const {
  if (owned_.empty()) return SlotTable(shares);
  SlotTable out;
  out.owned_.resize(shares.size());
  std::vector<bool> taken(kSlots);
  for (std::size_t arm = 0; arm < shares.size(); ++arm) {
    if (before[arm] >= owned_.size()) continue;
    out.owned_[arm] = owned_[before[arm]];
    for (const auto slot : out.owned_[arm]) taken[slot] = true;
  }
  std::vector<std::uint16_t> freed;
  for (std::size_t slot = kSlots; slot-- > 0;) {
    if (!taken[slot]) freed.push_back(static_cast<std::uint16_t>(slot));
  }
  const auto counts = counts_of(shares);
  for (std::size_t arm = 0; arm < counts.size(); ++arm) {
    auto& slots = out.owned_[arm];
    while (slots.size() > counts[arm]) {
      freed.push_back(slots.back());
      slots.pop_back();
    }
  }
  for (std::size_t arm = 0; arm < counts.size(); ++arm) {
    auto& slots = out.owned_[arm];
    while (slots.size() < counts[arm] && !freed.empty()) {
      slots.push_back(freed.back());
      freed.pop_back();
    }
  }
  out.rebuild();
  return out;
}

double SlotTable::share(std::size_t arm) const {
  return arm < owned_.size() ? static_cast<double>(owned_[arm].size()) / kSlots : 0;
}

void SlotTable::rebuild() {
  for (std::size_t arm = 0; arm < owned_.size(); ++arm) {
    for (const auto slot : owned_[arm]) arms_[slot] = static_cast<std::uint8_t>(arm);
  }
}

std::string SlotTable::text() const {
  std::string out;
  for (std::size_t arm = 0; arm < owned_.size(); ++arm) {
    if (arm > 0) out += ';';
    const auto& slots = owned_[arm];
    // Runs of slots, "from-to", keep a table of 10,000 small.
    for (std::size_t i = 0; i < slots.size();) {
      std::size_t end = i + 1;
      while (end < slots.size() && slots[end] == slots[end - 1] + 1) ++end;
      std::size_t down = i + 1;
      while (down < slots.size() && slots[down] + 1 == slots[down - 1]) ++down;
      end = std::max(end, down);
      if (i > 0) out += ',';
      out += std::to_string(slots[i]);
      if (end > i + 1) out += "-" + std::to_string(slots[end - 1]);
      i = end;
    }
  }
  return out;
}

Result<SlotTable> SlotTable::parse(std::string_view text) {
  const auto bad = [] {
    return Failure(Error{Code::kDataLoss, "bad_state", "a stored slot table cannot be read", {}});
  };
  SlotTable out;
  std::vector<bool> taken(kSlots);
  std::size_t count = 0;
  for (const auto arm : split(text, ';')) {
    auto& slots = out.owned_.emplace_back();
    for (const auto piece : split(arm, ',')) {
      if (piece.empty()) continue;
      const auto dash = piece.find('-');
      const auto first = parse_uint(piece.substr(0, dash));
      const auto last = dash == std::string_view::npos ? first : parse_uint(piece.substr(dash + 1));
      if (!first || !last || *first >= kSlots || *last >= kSlots) return bad();
      const bool up = *first <= *last;
      for (std::uint64_t slot = *first;; slot += up ? 1 : std::uint64_t(-1)) {
        if (taken[slot]) return bad();
        taken[slot] = true;
        slots.push_back(static_cast<std::uint16_t>(slot));
        ++count;
        if (slot == *last) break;
      }
    }
  }
  if (count != kSlots || out.owned_.size() > kMostArms) return bad();
  out.rebuild();
  return out;
}

}  // namespace sluice::routing
