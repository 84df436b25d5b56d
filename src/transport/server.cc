#include "transport/server.h"

#include <algorithm>
#include <thread>

#include "base/text.h"
#include "transport/listener.h"

namespace sluice::transport {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

Failure cannot_listen(std::string_view what, const Address& address, const error_code& error) {
  if (error == boost::asio::error::address_in_use) {
    return unavailable("port_in_use",
                       "cannot listen on " + address.show() + " for " + std::string(what) +
                           ": the port is in use by another process; stop it or choose another "
                           "port with --" +
                           std::string(what));
  }
  return unavailable("cannot_listen", "cannot listen on " + address.show() + " for " +
                                          std::string(what) + ": " + error.message());
}

}  // namespace

std::string Address::show() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Address> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto port =
      colon == std::string_view::npos ? std::nullopt : parse_uint(text.substr(colon + 1));
  if (!port || *port > 65535) {
    return invalid("bad_address", "'" + printable(text) +
                                      "' is not an address; write HOST:PORT, such as "
                                      "127.0.0.1:8000");
  }
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return Address{host.empty() ? "0.0.0.0" : std::string(host), static_cast<std::uint16_t>(*port)};
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
  IoThread& io = *management_;
  error_code error;
  tcp::resolver resolver(io.loop());
  const auto found =
      resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error || found.begin() == found.end()) return cannot_listen(what, address, error);
  const tcp::endpoint endpoint = *found.begin();
  tcp::acceptor acceptor(io.loop());
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(4096, error);
  if (!error) acceptor.non_blocking(true, error);
  if (error) return cannot_listen(what, address, error);
  Address bound{endpoint.address().to_string(), acceptor.local_endpoint(error).port()};
  listeners_.push_back(std::make_shared<Listener>(io, std::move(acceptor), [this, origin](int fd) {
    if (open_connections() >= services_.limits.connections) return false;
    least_loaded(origin.management).adopt(fd, origin);
    return true;
  }));
  return bound;
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
