#include "observers/log_target.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::observers {
namespace {

constexpr int kPatience = 500;  // ms for a pipe that is full

// A stream cannot be cut off again: what has left has left, and the next try goes on there.
class LogStream final : public LogTarget {
 public:
  LogStream(int descriptor, LogCounters& counters) : fd_(descriptor), counters_(counters) {}

  Result<void> write(LogBatch& batch) override {
    while (batch.done < batch.text.size()) {
      const auto got = ::write(fd_, batch.text.data() + batch.done, batch.text.size() - batch.done);
      if (got >= 0) {
        take(batch, static_cast<std::size_t>(got));
      } else if (errno == EAGAIN && ready()) {
        continue;
      } else if (errno != EINTR) {
        return unavailable(
            "unwritable", "the prediction log cannot be written to standard output: " +
                              std::string(std::strerror(errno)) + "; what comes waits for a while");
      }
    }
    return {};
  }

 private:
  void take(LogBatch& batch, std::size_t bytes) {
    const auto from = batch.text.begin() + static_cast<std::ptrdiff_t>(batch.done);
    const auto lines = static_cast<std::uint64_t>(
        std::count(from, from + static_cast<std::ptrdiff_t>(bytes), '\n'));
    batch.done += bytes;
    batch.lines -= lines;
    counters_.written.fetch_add(lines, std::memory_order_relaxed);
    counters_.bytes.fetch_add(bytes, std::memory_order_relaxed);
  }
  // Keeps errno where it is not.
  bool ready() const {
    pollfd wanted{fd_, POLLOUT, 0};
    const bool yes = ::poll(&wanted, 1, kPatience) > 0;
    if (!yes) errno = EAGAIN;
    return yes;
  }

  const int fd_;
  LogCounters& counters_;
};

}  // namespace

std::unique_ptr<LogTarget> open_log_stream(int descriptor, LogCounters& counters) {
  return std::make_unique<LogStream>(descriptor, counters);
}

Result<OpenLog> open_log(const PredictionLogOptions& options) {
  OpenLog out{std::make_shared<LogCounters>(), nullptr};
  if (options.where == "off" || options.where.empty()) return out;
  if (options.where == "stdout" || options.where == "-") {
    out.target = open_log_stream(STDOUT_FILENO, *out.counters);
  } else if (options.where.ends_with(".parquet")) {
    SLUICE_TRY(out.target, open_log_parquet(options, *out.counters));
  } else {
    SLUICE_TRY(out.target, open_log_file(options, *out.counters));
  }
  return out;
}

}  // namespace sluice::observers
