// Listeners and I/O threads: everything that answers on a port.
//
// All listeners accept on the management thread, where no public request runs, and hand every
// connection to the I/O thread that has the fewest. (SO_REUSEPORT would spread them by a hash: with
// two gRPC connections both land on one core half of the time, and a second server on the same port
// would go unnoticed.) Connections of the management listener stay on its thread, so that it
// answers under overload; they are counted apart, and public ones leave it some descriptors.
//
// Thread-safety: one owner, who calls listen, start and drain_and_stop in this order.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "transport/address.h"
#include "transport/io_thread.h"

namespace sluice::transport {

class Listener;

// As many descriptors for this process as the system lets it have.
void raise_descriptor_limit();

class Server {
 public:
  Server(Services services, int io_threads);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Binds and listens; connections wait until `start`. `what` names the listener in messages.
  // Answers the address with the real port. Errors: kUnavailable/`port_in_use` and others.
  Result<Address> listen(const Address& address, Origin origin, std::string_view what);

  // Serves on all listeners.
  void start();
  // From now on every answer ends its connection; the first step of draining.
  void announce_drain() { draining_.store(true); }
  // Takes what waits, closes the listeners, lets every connection finish and ends the threads;
  // after `grace` what is left is dropped. False: something was left.
  bool drain_and_stop(std::chrono::milliseconds grace);
  // After that, once nothing answers requests any more: what was still posted to the threads.
  void finish_posted();

 private:
  IoThread& least_loaded(bool management);
  bool has_room(const Fd& socket, bool management) const;
  void tell_full();
  std::size_t public_connections() const;
  std::size_t open_connections() const;

  std::atomic<bool> draining_{false};
  Services services_;
  std::vector<std::unique_ptr<IoThread>> io_;
  std::unique_ptr<IoThread> management_;
  std::chrono::steady_clock::time_point told_full_{};
  std::vector<std::shared_ptr<Listener>> listeners_;
};

}  // namespace sluice::transport
