#include "clients/testing/fake_redis.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <mutex>
#include <set>
#include <stdexcept>

#include "clients/redis.h"

namespace sluice::clients {
namespace {

sockaddr_in loopback(int port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(static_cast<std::uint16_t>(port));
  return out;
}

// A socket bound to a free port, which is told.
int bind_free(int& port) {
  const int out = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto address = loopback(0);
  socklen_t size = sizeof(address);
  if (out < 0 || ::bind(out, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::getsockname(out, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("no port is free");
  }
  port = ntohs(address.sin_port);
  return out;
}

// Each only once: whoever got one may not listen at it yet.
int free_port() {
  static std::mutex mutex;
  static std::set<int> given;
  const std::lock_guard lock(mutex);
  while (true) {
    int out = 0;
    ::close(bind_free(out));
    if (given.insert(out).second) return out;
  }
}

int connect_to(int port) {
  const int out = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto address = loopback(port);
  if (::connect(out, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) return out;
  ::close(out);
  return -1;
}

std::filesystem::path new_directory() {
  auto out = (std::filesystem::temp_directory_path() / "redis_XXXXXX").string();
  if (::mkdtemp(out.data()) == nullptr) throw std::runtime_error("no directory can be made");
  return out;
}

}  // namespace

std::string FakePeer::read(std::size_t bytes) {
  std::string out;
  char buffer[4096];
  while (out.size() < bytes) {
    const auto got = ::recv(socket_, buffer, std::min(sizeof(buffer), bytes - out.size()), 0);
    if (got <= 0) break;
    out.append(buffer, static_cast<std::size_t>(got));
  }
  return out;
}

bool FakePeer::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

FakeRedis::FakeRedis(std::vector<FakeScript> scripts) : scripts_(std::move(scripts)) {
  listener_ = bind_free(port_);
  if (::listen(listener_, 16) != 0) throw std::runtime_error("cannot listen");
  thread_ = std::thread([this] { run(); });
}

FakeRedis::~FakeRedis() {
  ::shutdown(listener_, SHUT_RDWR);
  thread_.join();
  for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  for (auto& talker : talkers_) talker.join();
  for (const int socket : sockets_) ::close(socket);
  ::close(listener_);
}

void FakeRedis::run() {
  while (true) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const auto number = connections_++;
    sockets_.push_back(socket);
    talkers_.emplace_back([this, socket, number] {
      FakePeer peer(socket);
      scripts_[std::min(number, scripts_.size() - 1)](peer);
      ::shutdown(socket, SHUT_RDWR);
    });
  }
}

std::unique_ptr<RealRedis> RealRedis::start(const std::vector<std::string>& options, int port) {
  return listening([&] { return once(options, port == 0 ? free_port() : port); });
}

std::unique_ptr<RealRedis> RealRedis::once(std::vector<std::string> options, int port) {
  int tls_port = 0;
  for (std::size_t i = 1; i < options.size(); ++i) {
    if (options[i - 1] != "--tls-port" || options[i] != "any") continue;
    tls_port = free_port();
    options[i] = std::to_string(tls_port);
  }
  std::vector<std::string> words = {
      "redis-server", "--bind", "127.0.0.1", "--port",   std::to_string(port), "--save", "",
      "--appendonly", "no",     "--logfile", "/dev/null"};
  words.insert(words.end(), options.begin(), options.end());
  // Where copies lay down what they get; a server reads it at its start.
  auto directory = new_directory();
  words.insert(words.end(), {"--dir", directory.string()});
  return spawn(std::move(words), port, tls_port, std::move(directory));
}

std::unique_ptr<RealRedis> RealRedis::start_sentinel(const std::string& primary,
                                                     const std::string& port) {
  return listening([&] {
    const int own = free_port();
    auto directory = new_directory();
    // It writes down there what it comes to know.
    const auto file = directory / "sentinel.conf";
    std::ofstream(file) << "bind 127.0.0.1\nport " << own << "\nlogfile /dev/null\n"
                        << "sentinel monitor " << primary << " 127.0.0.1 " << port << " 1\n"
                        << "sentinel down-after-milliseconds " << primary << " 2000\n"
                        << "sentinel failover-timeout " << primary << " 3000\n";
    return spawn({"redis-server", file.string(), "--sentinel"}, own, 0, std::move(directory));
  });
}

std::unique_ptr<RealRedis> RealRedis::listening(const Spawning& spawning) {
  for (int i = 0; i < 10; ++i) {
    auto out = spawning();
    if (!out || out->listens()) return out;
  }
  throw std::runtime_error("redis-server ends at once, however often it is started");
}

std::unique_ptr<RealRedis> RealRedis::spawn(std::vector<std::string> words, int port, int tls_port,
                                            std::filesystem::path directory) {
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t process = 0;
  if (::posix_spawnp(&process, "redis-server", nullptr, nullptr, argv.data(), environ) != 0) {
    std::filesystem::remove_all(directory);
    return nullptr;
  }
  return std::unique_ptr<RealRedis>(new RealRedis(process, port, tls_port, std::move(directory)));
}

bool RealRedis::listens() {
  for (int i = 0; i < 500; ++i) {
    const int socket = connect_to(port_);
    if (socket >= 0) ::close(socket);
    // A sentinel listens first, and then writes to the disk what it was told.
    const bool answers = socket >= 0 && !run({"PING"}).empty();
    // Asked behind it: where it has ended, somebody else listens there.
    if (has_ended()) return false;
    if (answers) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  throw std::runtime_error("redis-server does not answer");
}

bool RealRedis::has_ended() {
  if (!ended_) ended_ = ::waitpid(process_, nullptr, WNOHANG) == process_;
  return ended_;
}

RealRedis::~RealRedis() {
  if (!ended_) {
    go_on();
    ::kill(process_, SIGTERM);
    ::waitpid(process_, nullptr, 0);
  }
  std::filesystem::remove_all(directory_);
}

void RealRedis::stand_still() const { ::kill(process_, SIGSTOP); }
void RealRedis::go_on() const { ::kill(process_, SIGCONT); }

std::string RealRedis::run(std::initializer_list<std::string_view> words) const {
  const int socket = connect_to(port_);
  if (socket < 0) return {};
  std::string command;
  append_redis_command(command, words);
  FakePeer peer(socket);
  std::string line;
  bool open = peer.write(command);
  while (open && !line.ends_with("\r\n")) {
    const auto byte = peer.read(1);
    open = !byte.empty();
    line += byte;
  }
  ::close(socket);
  return line.substr(0, line.find('\r'));
}

}  // namespace sluice::clients
