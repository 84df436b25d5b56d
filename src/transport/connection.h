// One TCP connection: reading, writing and closing. What the bytes mean is its Protocol's business,
// chosen by the first bytes: HTTP/2's preface, or anything else for HTTP/1.1.
//
// Thread-safety: lives on its I/O thread.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/file.h"
#include "transport/buffer.h"
#include "transport/event_loop.h"
#include "transport/io_thread.h"
#include "transport/protocol.h"

namespace sluice::transport {

class Connection final : public EventLoop::Watcher,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(IoThread& io, Fd socket, Origin origin);
  ~Connection() override;

  void start();
  void on_ready(std::uint32_t events) override;
  void tick(std::chrono::steady_clock::time_point now);
  void drain();

  IoThread& io() { return io_; }
  const Origin& origin() const { return origin_; }
  Buffer& in() { return in_; }
  std::string& out() { return out_; }
  std::size_t unsent() const { return out_.size() - sent_; }
  std::chrono::steady_clock::time_point last_read() const { return last_read_; }

  // Has the protocol write what it has, and sends it.
  void send();
  // Sends the output; what the socket does not take goes when it can.
  void flush();
  // Goes on reading, in the next turn, what is there and the protocol wants.
  void read_on();
  // Sends what is left, stops sending, reads and throws away for a bounded time, closes. Closing at
  // once would lose the answer: bytes that nobody read make the kernel send a reset.
  void close_after_flush();
  void close();
  bool closed() const { return closed_; }

 private:
  enum class Sniffed { kMore, kChosen, kRefused };
  Sniffed sniff();
  bool wants_read() const;
  void read();
  void on_read(std::size_t bytes);
  void on_eof();
  bool send_all();
  void begin_linger();
  void on_writable();

  IoThread& io_;
  const Origin origin_;
  Fd socket_;
  std::unique_ptr<Protocol> protocol_;
  Buffer in_;
  std::string out_;
  std::size_t sent_ = 0;
  std::size_t discarded_ = 0;
  std::chrono::steady_clock::time_point last_read_;
  std::chrono::steady_clock::time_point linger_until_{};
  std::chrono::steady_clock::time_point drain_began_{};
  bool readable_ = false;  // the socket has, or may have, what was not read
  bool hung_up_ = false;   // the end is to be read behind the bytes
  bool read_planned_ = false;
  bool write_waits_ = false;
  bool eof_ = false;
  bool closing_ = false;    // close when flushed
  bool lingering_ = false;  // flushed and half-closed
  bool closed_ = false;
};

}  // namespace sluice::transport
