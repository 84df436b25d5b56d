#include "clients/retry_after.h"

#include <time.h>

#include <algorithm>
#include <string>

#include "base/text.h"

namespace sluice::clients {
namespace {

using std::chrono::seconds;

constexpr seconds kMost{86'400};

}  // namespace

std::optional<seconds> parse_retry_after(std::string_view value,
                                         std::chrono::system_clock::time_point now) {
  value = trim(value);
  if (const auto number = parse_uint(value)) {
    return seconds(std::min<std::uint64_t>(*number, static_cast<std::uint64_t>(kMost.count())));
  }
  const std::string text(value);
  tm parts{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0') return std::nullopt;
  const auto date = std::chrono::system_clock::from_time_t(::timegm(&parts));
  return std::clamp(std::chrono::ceil<seconds>(date - now), seconds(0), kMost);
}

}  // namespace sluice::clients
