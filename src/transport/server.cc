#include "transport/server.h"

#include <algorithm>
#include <thread>

#include "transport/listener.h"

namespace sluice::transport {

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
    if (open_connections() >= services_.limits.connections) return;  // which closes it
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

std::size_t Server::open_connections() const {
  std::size_t sum = management_->connections();
  for (const auto& io : io_) sum += io->connections();
  return sum;
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
