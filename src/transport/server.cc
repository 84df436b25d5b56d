#include "transport/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <thread>

#include "base/log.h"
#include "transport/listener.h"

namespace sluice::transport {
namespace {

constexpr std::size_t kMostManagement = 1000;  // connections
// What public connections leave for the management listener, models and files of the server's own,
// unless there are so few that they need them all.
constexpr rlim_t kSpareDescriptors = 64;
constexpr rlim_t kFewDescriptors = 256;

// The system gives the lowest number that is free: a high one says that few are left.
bool among_the_last(const Fd& socket) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= kFewDescriptors) return false;
  return static_cast<rlim_t>(socket.get()) + kSpareDescriptors >= limit.rlim_cur;
}

}  // namespace

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Server::Server(Services services, int io_threads) : services_(std::move(services)) {
  services_.draining = &draining_;
  for (int i = 0; i < io_threads; ++i) {
    io_.push_back(std::make_unique<IoThread>("io-" + std::to_string(i), services_));
  }
  management_ = std::make_unique<IoThread>("management", services_);
}

Server::~Server() {
  for (auto& io : io_) io->stop();
  management_->stop();
  listeners_.clear();
}

Result<Address> Server::listen(const Address& address, Origin origin, std::string_view what) {
  // No model of the public listeners runs on this thread: a long one must not keep others from
  // being accepted.
  SLUICE_TRY(auto listening, listen_on(address, what));
  auto give = [this, origin](Fd socket) {
    if (!has_room(socket, origin.management)) return tell_full();  // the socket is closed
    least_loaded(origin.management).adopt(std::move(socket), origin);
  };
  listeners_.push_back(std::make_shared<Listener>(management_->loop(), std::move(listening.socket),
                                                  std::move(give)));
  return std::move(listening.address);
}

IoThread& Server::least_loaded(bool management) {
  if (management) return *management_;
  return **std::ranges::min_element(
      io_, {}, [](const std::unique_ptr<IoThread>& io) { return io->connections(); });
}

bool Server::has_room(const Fd& socket, bool management) const {
  if (management) return management_->connections() < kMostManagement;
  return public_connections() < services_.limits.connections && !among_the_last(socket);
}

// On the management thread alone.
void Server::tell_full() {
  constexpr std::chrono::seconds kTellEvery{10};
  const auto now = management_->loop().now();
  if (now - told_full_ < kTellEvery) return;
  told_full_ = now;
  log::warn(
      "connections are closed unanswered: as many are open as may be, or as the limit of open "
      "files allows");
}

std::size_t Server::public_connections() const {
  std::size_t sum = 0;
  for (const auto& io : io_) sum += io->connections();
  return sum;
}

std::size_t Server::open_connections() const {
  return public_connections() + management_->connections();
}

void Server::start() {
  for (auto& io : io_) io->start();
  management_->start();
  for (auto& listener : listeners_) listener->begin();
}

bool Server::drain_and_stop(std::chrono::milliseconds grace) {
  announce_drain();
  for (auto& listener : listeners_) listener->end();
  for (auto& io : io_) io->drain();
  management_->drain();
  const auto until = std::chrono::steady_clock::now() + grace;
  while (open_connections() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const bool all_done = open_connections() == 0;
  for (auto& io : io_) io->stop();
  management_->stop();
  return all_done;
}

void Server::finish_posted() {
  for (auto& io : io_) io->finish_posted();
  management_->finish_posted();
}

}  // namespace sluice::transport
