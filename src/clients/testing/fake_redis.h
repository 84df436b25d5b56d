// A server that says what a test tells it to, and one that is Redis.
//
// Thread-safety: one owner; what a script does runs on a thread of the fake's.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace sluice::clients {

// The fake's end of a connection.
class FakePeer {
 public:
  explicit FakePeer(int socket) : socket_(socket) {}

  // Until so many bytes have come, or the client has gone: what has come.
  std::string read(std::size_t bytes);
  // False: the client has gone.
  bool write(std::string_view bytes);

 private:
  const int socket_;
};

using FakeScript = std::function<void(FakePeer& peer)>;

// One script for each connection, in their order, the last one for all others; at a script's end
// the connection is closed.
class FakeRedis {
 public:
  explicit FakeRedis(std::vector<FakeScript> scripts);
  ~FakeRedis();
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  std::string port() const { return std::to_string(port_); }
  std::string url() const { return "redis://127.0.0.1:" + port(); }
  std::size_t connections() const { return connections_; }

 private:
  void run();

  const std::vector<FakeScript> scripts_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<std::size_t> connections_ = 0;
  std::vector<int> sockets_;          // the accepting thread's, until it has ended
  std::vector<std::thread> talkers_;  // likewise
  std::thread thread_;
};

// Of this machine, as long as nobody else takes it.
int free_port();

// redis-server on a port of this machine, without persistence; ended with this object.
class RealRedis {
 public:
  // Null where there is no redis-server on PATH. `options` are its flags ("--requirepass", "x").
  // `port`: of one that was ended, so that it is there again; 0: any.
  static std::unique_ptr<RealRedis> start(const std::vector<std::string>& options = {},
                                          int port = 0);
  // The same program as a sentinel, which calls the server at `port` `primary` and takes it for
  // gone after half a second.
  static std::unique_ptr<RealRedis> start_sentinel(const std::string& primary,
                                                   const std::string& port);
  ~RealRedis();
  RealRedis(const RealRedis&) = delete;
  RealRedis& operator=(const RealRedis&) = delete;

  std::string port() const { return std::to_string(port_); }
  std::string url() const { return "redis://127.0.0.1:" + port(); }
  // The first line of the reply, ":1".
  std::string run(std::initializer_list<std::string_view> words) const;
  // Its connections stay, and it says nothing until it goes on.
  void stand_still() const;
  void go_on() const;

 private:
  RealRedis(pid_t process, int port, std::filesystem::path directory)
      : process_(process), port_(port), directory_(std::move(directory)) {}
  static std::unique_ptr<RealRedis> spawn(std::vector<std::string> words, int port,
                                          std::filesystem::path directory);

  const pid_t process_;
  const int port_;
  const std::filesystem::path directory_;  // of its own; goes with it
};

}  // namespace sluice::clients
