#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>

namespace sluice::log {
namespace {

spdlog::logger& logger() {
  static const auto kLogger = [] {
    auto made = std::make_shared<spdlog::logger>(
        "sluice", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%-5l%$ %v");
    made->set_level(spdlog::level::debug);
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *kLogger;
}

// A bit for each level that is written.
std::atomic<unsigned>& levels() {
  static std::atomic<unsigned> mask{0b1110};
  return mask;
}

}  // namespace

void set_level(Level level) {
  unsigned mask = 0;
  for (int i = static_cast<int>(level); i < static_cast<int>(Level::kOff); ++i) mask |= 1U << i;
  levels().store(mask);
}

void enable(Level level, bool on) {
  const unsigned bit = 1U << static_cast<int>(level);
  if (on) {
    levels().fetch_or(bit);
  } else {
    levels().fetch_and(~bit);
  }
}

bool enabled(Level level) {
  return (levels().load(std::memory_order_relaxed) >> static_cast<int>(level) & 1U) != 0;
}

void debug(std::string_view message) {
  if (enabled(Level::kDebug)) logger().debug("{}", message);
}
void info(std::string_view message) {
  if (enabled(Level::kInfo)) logger().info("{}", message);
}
void warn(std::string_view message) {
  if (enabled(Level::kWarn)) logger().warn("{}", message);
}
void error(std::string_view message) {
  if (enabled(Level::kError)) logger().error("{}", message);
}

}  // namespace sluice::log
