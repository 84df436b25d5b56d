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

// redis-server on a port of this machine, without persistence; ended with this object. One that
// ends at once, because somebody else has taken its port meanwhile, is started again at another.
class RealRedis {
 public:
  // Null where there is no redis-server on PATH. `options` are its flags ("--requirepass", "x").
  // `port`: of one that was ended, so that it is there again; 0: any. "--tls-port" "any" is a port
  // for TLS beside it.
  static std::unique_ptr<RealRedis> start(const std::vector<std::string>& options = {},
                                          int port = 0);
  // The same program as a sentinel, which calls the server at `port` `primary` and takes it for
  // gone after two seconds.
  static std::unique_ptr<RealRedis> start_sentinel(const std::string& primary,
                                                   const std::string& port);
  ~RealRedis();
  RealRedis(const RealRedis&) = delete;
  RealRedis& operator=(const RealRedis&) = delete;

  std::string port() const { return std::to_string(port_); }
  std::string tls_port() const { return std::to_string(tls_port_); }
  std::string url() const { return "redis://127.0.0.1:" + port(); }
  // The first line of the reply, ":1"; nothing where the server is gone.
  std::string run(std::initializer_list<std::string_view> words) const;
  // Its connections stay, and it says nothing until it goes on.
  void stand_still() const;
  void go_on() const;

 private:
  using Spawning = std::function<std::unique_ptr<RealRedis>()>;

  RealRedis(pid_t process, int port, int tls_port, std::filesystem::path directory)
      : process_(process), port_(port), tls_port_(tls_port), directory_(std::move(directory)) {}
  static std::unique_ptr<RealRedis> once(std::vector<std::string> options, int port);
  static std::unique_ptr<RealRedis> spawn(std::vector<std::string> words, int port, int tls_port,
                                          std::filesystem::path directory);
  // Of several tries the first that listens.
  static std::unique_ptr<RealRedis> listening(const Spawning& spawning);
  // False: its process has ended.
  bool listens();
  bool has_ended();

  const pid_t process_;
  bool ended_ = false;  // and is buried: its number may be somebody else's
  const int port_;
  const int tls_port_;
  const std::filesystem::path directory_;  // of its own; goes with it
};

}  // namespace sluice::clients
