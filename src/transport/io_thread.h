// One event loop on one thread, and the connections that live on it.
//
// A connection is born, served and closed on the same thread, so nothing of it is locked. A tick a
// few times a second does all time-outs: a timer per connection would cost more than the requests.
//
// Thread-safety: `adopt`, `drain`, `stop` and `connections` from any thread; the rest on the thread
// itself.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/file.h"
#include "transport/event_loop.h"
#include "transport/http.h"

namespace sluice::transport {

class Connection;
class GrpcMethods;

// What connections serve; the same for every thread.
struct Services {
  HttpService* http = nullptr;
  const GrpcMethods* grpc = nullptr;
  HttpLimits limits;
  // Set by the server: from now on every answer ends its connection.
  const std::atomic<bool>* draining = nullptr;
  // Called a few times a second on every I/O thread.
  std::function<void()> on_tick;
};

// How a connection came in.
struct Origin {
  bool management = false;
  bool http1 = true;  // false: only HTTP/2, as on the gRPC port
};

class IoThread {
 public:
  IoThread(std::string name, const Services& services);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  void start();
  // Ends the loop and joins the thread; connections are dropped.
  void stop();
  // Once it has stopped, and on whatever thread owns it: what was posted since is done, so that
  // nobody's answer is lost in the loop.
  void finish_posted() { loop_.finish_posted(); }

  // Takes a connected socket.
  void adopt(Fd socket, Origin origin);
  // Every connection finishes what is in flight and ends.
  void drain();
  std::size_t connections() const { return count_.load(std::memory_order_relaxed); }

  EventLoop& loop() { return loop_; }
  const Services& services() const { return services_; }
  bool draining() const { return draining_; }
  // `connection.send()` at the end of this turn. One entry in the loop for all of them.
  void send_at_end(std::shared_ptr<Connection> connection);
  // The Date header's value, made once a second.
  const std::string& date();
  void forget(const std::shared_ptr<Connection>& connection);

 private:
  void run();
  void tick();

  const std::string name_;
  const Services& services_;
  EventLoop loop_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::vector<std::shared_ptr<Connection>> senders_;
  std::vector<std::shared_ptr<Connection>> sending_;
  std::atomic<std::size_t> count_{0};
  bool draining_ = false;
  std::string date_;
  std::thread thread_;
};

}  // namespace sluice::transport
