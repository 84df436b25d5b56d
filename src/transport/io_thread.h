// One event loop on one thread, and the connections that live on it.
//
// A connection is born, served and closed on the same thread, so nothing of it is locked. A tick a
// few times a second does all time-outs: a timer per connection would cost more than the requests.
//
// Thread-safety: `post`, `adopt`, `drain`, `stop` and `connections` from any thread; the rest on
// the thread itself.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_set>

// Boost 1.74 with g++ 12 needs these two before Asio.
#include <exception>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/turn.h"
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

class IoThread final : public Turn {
 public:
  IoThread(std::string name, const Services& services);
  ~IoThread() override;
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  void start();
  // Ends the loop and joins the thread; connections are dropped.
  void stop();
  // Once it has stopped, and on whatever thread owns it: what was posted since is done, so that
  // nobody's answer is lost in the loop.
  void finish_posted();

  void post(std::move_only_function<void()> work) override {
    boost::asio::post(loop_, std::move(work));
  }
  bool is_current() const {
    return std::this_thread::get_id() == id_.load(std::memory_order_relaxed);
  }

  void at_end(std::move_only_function<void()> work) override { post(std::move(work)); }

  // Takes a connected socket.
  void adopt(int fd, Origin origin);
  // Every connection finishes what is in flight and ends.
  void drain();
  std::size_t connections() const { return count_.load(std::memory_order_relaxed); }

  boost::asio::io_context& loop() { return loop_; }
  const Services& services() const { return services_; }
  bool draining() const { return draining_; }
  // The Date header's value, made once a second.
  const std::string& date();
  void forget(const std::shared_ptr<Connection>& connection);

 private:
  void run();
  void schedule_tick();
  void tick();

  const std::string name_;
  const Services& services_;
  boost::asio::io_context loop_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer timer_;
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::atomic<std::size_t> count_{0};
  bool draining_ = false;
  std::string date_;
  std::thread thread_;
  std::atomic<std::thread::id> id_{};
};

}  // namespace sluice::transport
