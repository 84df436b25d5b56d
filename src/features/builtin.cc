#include "features/builtin.h"

#include <string_view>
#include <vector>

#include "base/text.h"
#include "features/feast_http.h"
#include "features/feast_redis.h"
#include "features/feast_sqlite.h"
#include "features/redis.h"
#include "features/sqlite.h"

namespace sluice::features {
namespace {

struct Kind {
  std::string_view scheme;
  Result<std::shared_ptr<const FeatureStore>> (*open)(const StoreOptions& options);
};

// A new store: one file, and one line here.
constexpr Kind kKinds[] = {
    {"sqlite", open_sqlite},
    {"redis", open_redis},
    {"rediss", open_redis},
    {"redis+sentinel", open_redis},
    {"feast+redis", open_feast_redis},
    {"feast+rediss", open_feast_redis},
    {"feast+redis+sentinel", open_feast_redis},
    {"feast+sqlite", open_feast_sqlite},
    {"feast+http", open_feast_http},
    {"feast+https", open_feast_http},
};

}  // namespace

Result<std::shared_ptr<const FeatureStore>> open_store(const StoreOptions& options) {
  const std::string_view url = options.url;
  const auto scheme = url.substr(0, url.find(':'));
  std::vector<std::string> known;
  for (const auto& kind : kKinds) {
    if (kind.scheme == scheme) return kind.open(options);
    known.emplace_back(kind.scheme);
  }
  return invalid("bad_store_url", "feature store '" + printable(options.name) +
                                      "' has the scheme '" + printable(scheme) +
                                      "', and there are " + join_and(known));
}

std::filesystem::path embedded_file(const std::filesystem::path& state_directory) {
  return state_directory / "features.db";
}

}  // namespace sluice::features
