#include "clients/redis_socket.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace sluice::clients {
namespace {

using Need = TlsClient::Need;

Failure bad_store(std::string message) {
  return fail(Code::kFailedPrecondition, "bad_store", std::move(message));
}
Failure too_late(std::string message) {
  return fail(Code::kDeadlineExceeded, "store_timeout", std::move(message));
}
std::string system_text(int code) { return std::generic_category().message(code); }
bool can_later(int code) { return code == EINTR || code == EAGAIN || code == EWOULDBLOCK; }

Failure cut(const std::string& why) {
  return unavailable("store_unavailable", "the connection to Redis was cut: " + why);
}

// Until `deadline`, rounded up, so that waiting never ends just before it.
int millis_left(RedisSocket::Deadline deadline) {
  const auto left = deadline - std::chrono::steady_clock::now();
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<std::int64_t>(millis, 0, 3'600'000));
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};

Result<std::unique_ptr<addrinfo, FreeAddresses>> look_up(const RedisUrl& url) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int code = getaddrinfo(url.host.c_str(), url.port.c_str(), &hints, &list);
  if (code != 0) {
    return unavailable("store_unavailable",
                       std::string("the host of Redis cannot be found: ") + gai_strerror(code));
  }
  return std::unique_ptr<addrinfo, FreeAddresses>(list);
}

// Waits for a connection that is being made. 0, or what went wrong.
int finish_connect(int socket, RedisSocket::Deadline deadline) {
  pollfd waited{socket, POLLOUT, 0};
  int ready = 0;
  do {
    ready = ::poll(&waited, 1, millis_left(deadline));
  } while (ready < 0 && errno == EINTR);
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int code = 0;
  socklen_t size = sizeof(code);
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size);
  return code;
}

// A connected socket, or -1 with errno.
int connect_one(const addrinfo& address, RedisSocket::Deadline deadline) {
  const int out =
      ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (out < 0) return -1;
  const int on = 1;
  ::setsockopt(out, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(out, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  int code = ::connect(out, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (code == EINPROGRESS) code = finish_connect(out, deadline);
  if (code == 0) return out;
  ::close(out);
  errno = code;
  return -1;
}

Result<int> connect_any(const RedisUrl& url, RedisSocket::Deadline deadline) {
  SLUICE_TRY(const auto addresses, look_up(url));
  int code = 0;
  for (const auto* one = addresses.get(); one != nullptr; one = one->ai_next) {
    const int out = connect_one(*one, deadline);
    if (out >= 0) return out;
    code = errno;
    if (std::chrono::steady_clock::now() >= deadline) {
      return too_late("Redis was not connected to in time");
    }
  }
  return unavailable("store_unavailable", "Redis cannot be reached: " + system_text(code));
}

// In the words of a store's errors; that of a connection that was cut is made elsewhere.
Failure tls_failure(const TlsFault& fault) {
  using Kind = TlsFault::Kind;
  switch (fault.kind) {
    case Kind::kAuthorities:
      return bad_store(
          "the file that 'cacert' names in the URL of Redis cannot be read, or has no certificate "
          "in PEM form");
    case Kind::kExpired:
      return bad_store("the certificate of Redis has expired; give it a new one");
    case Kind::kNotYetValid:
      return bad_store(
          "the certificate of Redis is not valid yet; compare the clocks of both machines");
    case Kind::kOtherName:
      return bad_store(
          "the certificate of Redis is for other names than the host of the store's URL; write one "
          "of them there, or give Redis a certificate whose 'subjectAltName' has this host");
    case Kind::kUnknownAuthority:
      return bad_store(
          "the certificate of Redis is signed by an authority that this machine does not know; "
          "name the file with the authority's own certificate: rediss://…?cacert=FILE");
    case Kind::kNoTls:
      return bad_store(
          "what answers does not speak TLS; where Redis is to be spoken to without, write "
          "redis://");
    case Kind::kWantsCertificate:
      return bad_store(
          "Redis wants a certificate of its clients, and this one has none; set its "
          "'tls-auth-clients' to 'no'");
    case Kind::kUntrusted:
      return bad_store("the certificate of Redis cannot be trusted: " + fault.text);
    case Kind::kClosed: return cut(fault.text);
    case Kind::kOther: break;
  }
  return bad_store("Redis cannot be spoken to over TLS: " + fault.text);
}

}  // namespace

RedisSocket::~RedisSocket() {
  tls_.reset();
  ::close(socket_);
}

Result<std::unique_ptr<RedisSocket>> RedisSocket::open(const RedisUrl& url, Deadline deadline) {
  SLUICE_TRY(const int socket, connect_any(url, deadline));
  std::unique_ptr<RedisSocket> out(new RedisSocket(socket));
  if (url.tls) SLUICE_CHECK(out->start_tls(url, deadline));
  return out;
}

Result<void> RedisSocket::start_tls(const RedisUrl& url, Deadline deadline) {
  auto made = TlsClient::make(socket_, url.host, url.authorities);
  if (!made) return tls_failure(made.error());
  tls_ = *std::move(made);
  while (true) {
    const auto need = tls_->shake_hands();
    if (!need && need.error().kind == TlsFault::Kind::kClosed) {
      return unavailable("store_unavailable",
                         "the connection to Redis was cut before TLS was agreed on (" +
                             need.error().text + "); look whether this is its 'tls-port'");
    }
    if (!need) return tls_failure(need.error());
    if (*need == Need::kNothing) return {};
    if (std::chrono::steady_clock::now() >= deadline) {
      return too_late("Redis did not agree on TLS in time; look whether this is its 'tls-port'");
    }
    SLUICE_CHECK(wait(*need == Need::kToWrite, deadline));
  }
}

Result<std::size_t> RedisSocket::send(std::string_view bytes) {
  if (tls_) return moved(tls_->send(bytes), sending_);
  const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return static_cast<std::size_t>(sent);
  if (can_later(errno)) return 0;
  return cut(system_text(errno));
}

Result<std::size_t> RedisSocket::receive(std::span<char> into) {
  if (tls_) {
    auto out = moved(tls_->receive(into), receiving_);
    received_ = received_ || out.value_or(0) > 0;
    return out;
  }
  const auto got = ::recv(socket_, into.data(), into.size(), 0);
  if (got > 0) return static_cast<std::size_t>(got);
  if (got == 0) return cut("the other end closed it");
  if (can_later(errno)) return 0;
  return cut(system_text(errno));
}

// `need` becomes what is waited for, where nothing has moved.
Result<std::size_t> RedisSocket::moved(const std::expected<TlsClient::Moved, TlsFault>& done,
                                       Need& need) {
  if (done) {
    if (done->bytes == 0) need = done->need;
    return done->bytes;
  }
  // Redis asks for the certificate after the client thinks that all is agreed on, and what it says
  // then may be lost.
  if (!received_ && done.error().kind == TlsFault::Kind::kClosed) {
    return cut(done.error().text +
               "; where it wants certificates of its clients, set its 'tls-auth-clients' to 'no'");
  }
  return tls_failure(done.error());
}

Result<void> RedisSocket::wait(bool writing, Deadline deadline) const {
  const bool to_write = (writing && sending_ == Need::kToWrite) || receiving_ == Need::kToWrite;
  pollfd waited{socket_, static_cast<short>(to_write ? POLLIN | POLLOUT : POLLIN), 0};
  const int ready = ::poll(&waited, 1, millis_left(deadline));
  if (ready < 0 && errno != EINTR) {
    return unavailable("store_unavailable", "Redis cannot be waited for: " + system_text(errno));
  }
  return {};
}

bool RedisSocket::quiet() const {
  if (tls_) return tls_->quiet();
  char byte = 0;
  return ::recv(socket_, &byte, 1, MSG_PEEK) < 0 && can_later(errno);
}

}  // namespace sluice::clients
