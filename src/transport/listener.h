// One listening socket. Internal to the server.
//
// Thread-safety: lives on the I/O thread whose loop it was given; `begin` and `end` may be called
// from any thread.
#pragma once

#include <functional>
#include <future>
#include <memory>

#include "transport/io_thread.h"

#include <boost/asio/ip/tcp.hpp>

namespace sluice::transport {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  // `give` takes each connected descriptor; false: there are too many connections.
  Listener(IoThread& io, boost::asio::ip::tcp::acceptor acceptor, std::function<bool(int)> give);

  void begin();
  // Accepts what already waits, then closes; returns when that is done.
  void end();

 private:
  void wait();
  // False when the process is out of descriptors.
  bool accept_all();

  IoThread& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::function<bool(int)> give_;
};

}  // namespace sluice::transport
