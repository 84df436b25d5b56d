// One listening socket. Internal to the server.
//
// Thread-safety: lives on the I/O thread it was given; `begin` and `end` may be called from any
// thread.
#pragma once

#include <functional>
#include <memory>

#include "base/file.h"
#include "transport/event_loop.h"

namespace sluice::transport {

class Listener final : public EventLoop::Watcher, public std::enable_shared_from_this<Listener> {
 public:
  // `give` takes each connected socket.
  Listener(EventLoop& loop, Fd socket, std::function<void(Fd)> give);

  void begin();
  // Accepts what already waits, then closes; returns when that is done.
  void end();

  void on_ready(std::uint32_t events) override;

 private:
  void wait();
  void wait_later();
  // False when the process is out of descriptors.
  bool accept_all();

  EventLoop& loop_;
  Fd socket_;
  std::function<void(Fd)> give_;
};

}  // namespace sluice::transport
