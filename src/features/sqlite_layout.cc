#include "features/sqlite_layout.h"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace sluice::features {
namespace {

constexpr const char* kFirstLayout = R"sql(
CREATE TABLE features (
  id INTEGER PRIMARY KEY, store TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (store, name)) STRICT;
CREATE TABLE entities (
  store TEXT NOT NULL, entity BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (store, entity)) STRICT, WITHOUT ROWID;
)sql";

constexpr const char* kSteps[] = {kFirstLayout};

}  // namespace

clients::SqliteLayout embedded_layout(const clients::SqliteNames& names) {
  return {0x534c5546, kSteps, &names};  // "SLUF"
}

std::vector<std::size_t> key_order(std::span<const EntityKey> keys) {
  std::vector<std::size_t> out(keys.size());
  std::iota(out.begin(), out.end(), std::size_t{0});
  std::ranges::sort(out, {}, [&](std::size_t i) { return std::string_view(keys[i].name); });
  return out;
}

void entity_bytes(EntityValues values, std::span<const std::size_t> order, std::string& out) {
  out.clear();
  if (values.size() == 1) {
    out = values[0];
    return;
  }
  for (const auto index : order) {
    const auto size = static_cast<std::uint32_t>(values[index].size());
    for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(size >> shift);
    out += values[index];
  }
}

}  // namespace sluice::features
