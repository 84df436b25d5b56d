// What a connection needs of the protocol that is spoken on it.
//
// Thread-safety: everything happens on the connection's I/O thread.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::transport {

// A protocol adds no more output while this much has not left; `on_writable` tells it to go on.
inline constexpr std::size_t kOutputHighWater = 256 << 10;

class Protocol {
 public:
  virtual ~Protocol() = default;

  // New bytes are in the connection's input; answers go to its output, which is flushed afterwards.
  virtual void on_bytes() = 0;
  // The peer will send no more.
  virtual void on_eof() = 0;
  // The connection is gone; what waits on it is let go.
  virtual void on_close() = 0;
  // Output that had to wait has left, or a turn in which answers were given has ended: time to
  // write more.
  virtual void on_writable() = 0;
  virtual bool wants_read() const = 0;
  // About how many bytes the next read should have room for.
  virtual std::size_t read_hint() const = 0;
  // A few times a second.
  virtual void tick(std::chrono::steady_clock::time_point now) = 0;
  // Finish what is in flight, then end the connection.
  virtual void drain() = 0;
};

}  // namespace sluice::transport
