#include "state/builtin.h"

#include <array>

#include "base/text.h"
#include "state/redis.h"
#include "state/sqlite.h"

namespace sluice::state {
namespace {

struct Kind {
  std::string_view scheme;
  Result<std::unique_ptr<StateStore>> (*open)(const std::string& where);
};

// A new store: one file, and one line here.
constexpr std::array<Kind, 4> kKinds = {{{"", open_sqlite},
                                         {"redis", open_redis},
                                         {"rediss", open_redis},
                                         {"redis+sentinel", open_redis}}};

std::string_view scheme_of(std::string_view text) {
  const auto end = text.find("://");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
}

}  // namespace

Result<std::unique_ptr<StateStore>> open_state(const std::string& where) {
  if (where.empty()) {
    return invalid("bad_state_url",
                   "no place is named for the state; name a directory, or :memory: to keep it only "
                   "while the server runs");
  }
  std::vector<std::string> known;
  for (const auto& kind : kKinds) {
    if (kind.scheme == scheme_of(where)) return kind.open(where);
    if (!kind.scheme.empty()) known.push_back(std::string(kind.scheme) + "://");
  }
  known.emplace_back("directories");
  known.emplace_back(":memory:");
  return invalid("bad_state_url", "the state cannot be kept in '" + printable(scheme_of(where)) +
                                      "://'; there are " + join_and(known));
}

std::vector<std::string_view> state_schemes() {
  std::vector<std::string_view> out;
  for (const auto& kind : kKinds) out.push_back(kind.scheme);
  return out;
}

}  // namespace sluice::state
