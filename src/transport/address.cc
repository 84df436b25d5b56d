#include "transport/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/text.h"

namespace sluice::transport {
namespace {

constexpr int kBacklog = 4096;

Failure cannot_listen(std::string_view what, const Address& address, const std::string& why) {
  return unavailable("cannot_listen", "cannot listen on " + address.show() + " for " +
                                          std::string(what) + ": " + why);
}

Failure cannot_listen(std::string_view what, const Address& address, int error) {
  if (error != EADDRINUSE) return cannot_listen(what, address, std::string(std::strerror(error)));
  return unavailable("port_in_use",
                     "cannot listen on " + address.show() + " for " + std::string(what) +
                         ": the port is in use by another process; stop it or choose another "
                         "port with --" +
                         std::string(what));
}

// The address a socket was really bound to, or nothing.
Result<Address> bound_address(int socket) {
  sockaddr_storage bytes{};
  socklen_t size = sizeof(bytes);
  auto* generic = reinterpret_cast<sockaddr*>(&bytes);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  const bool known = getsockname(socket, generic, &size) == 0 &&
                     getnameinfo(generic, size, host.data(), host.size(), port.data(), port.size(),
                                 NI_NUMERICHOST | NI_NUMERICSERV) == 0;
  if (!known) return internal("a listening socket has no address");
  return Address{host.data(), static_cast<std::uint16_t>(*parse_uint(port.data()))};
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

Result<Listening> listen_on(const Address& address, std::string_view what) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (status != 0) return cannot_listen(what, address, gai_strerror(status));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Fd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = 1;
  const bool listens = socket &&
                       setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
                       bind(socket.get(), found->ai_addr, found->ai_addrlen) == 0 &&
                       ::listen(socket.get(), kBacklog) == 0;
  if (!listens) return cannot_listen(what, address, errno);
  SLUICE_TRY(auto bound, bound_address(socket.get()));
  return Listening{std::move(socket), std::move(bound)};
}

}  // namespace sluice::transport
