#include "release/wall_clock.h"

#include <fmt/format.h>
#include <time.h>

namespace sluice::release {

WallMillis wall_millis() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

WallMillis kept_millis() {
  using std::chrono::steady_clock;
  static const auto kBegan = steady_clock::now();
  static const WallMillis kThen = wall_millis();
  const auto since = steady_clock::now() - kBegan;
  return kThen + std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
}

std::string wall_text(WallMillis millis) {
  const time_t seconds = static_cast<time_t>(millis / 1000);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     millis % 1000);
}

}  // namespace sluice::release
