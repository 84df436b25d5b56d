#include "features/feast_keys.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "base/text.h"
#include "features/convert.h"

namespace sluice::features {
namespace {

// Of feast.types.ValueType.
constexpr std::uint32_t kString = 2;
constexpr std::uint32_t kInt32 = 3;
constexpr std::uint32_t kInt64 = 4;

void append_little(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
}

void append_text(std::string& out, std::string_view text) {
  append_little(out, text.size(), 4);
  out += text;
}

Result<void> append_value(std::string& out, const EntityKey& key, std::string_view text,
                          int version) {
  if (key.type == KeyType::kText) {
    append_little(out, kString, 4);
    append_text(out, text);
    return {};
  }
  SLUICE_TRY(const auto number, key_number(text, key));
  const bool small = key.type == KeyType::kInt32 || version == 1;
  if (small && (number < std::numeric_limits<std::int32_t>::min() ||
                number > std::numeric_limits<std::int32_t>::max())) {
    return invalid("bad_entity", "'" + printable(key.name) + "' is '" + printable(text) +
                                     "', which Feast's keys of version 1 cannot hold: they have 32 "
                                     "bits");
  }
  append_little(out, key.type == KeyType::kInt32 ? kInt32 : kInt64, 4);
  append_little(out, small ? 4 : 8, 4);
  append_little(out, static_cast<std::uint64_t>(number), small ? 4 : 8);
  return {};
}

// Which key comes first, second and so on.
std::vector<std::size_t> by_name(std::span<const EntityKey> keys) {
  std::vector<std::size_t> out(keys.size());
  std::iota(out.begin(), out.end(), std::size_t{0});
  std::ranges::sort(out, {}, [&keys](std::size_t i) -> const std::string& { return keys[i].name; });
  return out;
}

}  // namespace

Result<std::string> feast_entity_key(std::span<const EntityKey> keys, EntityValues values,
                                     int version) {
  const auto order = by_name(keys);
  std::string out;
  if (version >= 3) append_little(out, keys.size(), 4);
  for (const auto i : order) {
    append_little(out, kString, 4);
    if (version >= 3) {
      append_text(out, keys[i].name);
    } else {
      out += keys[i].name;
    }
  }
  for (const auto i : order) SLUICE_CHECK(append_value(out, keys[i], values[i], version));
  return out;
}

Result<FeastName> parse_feast_name(std::string_view name) {
  const auto colon = name.find(':');
  const bool two = colon != std::string_view::npos && colon > 0 && colon + 1 < name.size() &&
                   name.find(':', colon + 1) == std::string_view::npos;
  if (!two) {
    return invalid("bad_config", "'" + printable(name) +
                                     "' is no name of a feature in Feast; write view:feature, such "
                                     "as driver_stats:conv_rate");
  }
  return FeastName{std::string(name.substr(0, colon)), std::string(name.substr(colon + 1))};
}

}  // namespace sluice::features
