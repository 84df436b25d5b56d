// The way to a server of Redis: a TCP socket, or TLS over one.
//
// Errors: kUnavailable/`store_unavailable`: there is no way, or it was cut;
// kDeadlineExceeded/`store_timeout`; kFailedPrecondition/`bad_store`: what is not right about TLS.
//
// Thread-safety: one owner.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "base/tls.h"
#include "clients/redis_url.h"

namespace sluice::clients {

class RedisSocket {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  // Connected; over TLS, to the one that was meant.
  static Result<std::unique_ptr<RedisSocket>> open(const RedisUrl& url, Deadline deadline);
  ~RedisSocket();
  RedisSocket(const RedisSocket&) = delete;
  RedisSocket& operator=(const RedisSocket&) = delete;

  // How much has gone out, or come in; 0: nothing can at the moment.
  Result<std::size_t> send(std::string_view bytes);
  Result<std::size_t> receive(std::span<char> into);
  // Until something can come in or, if asked for, go out; or the time is over, which is no error.
  Result<void> wait(bool writing, Deadline deadline) const;
  // Nothing has come and the other end has not closed.
  bool quiet() const;

 private:
  explicit RedisSocket(int socket) : socket_(socket) {}
  Result<void> start_tls(const RedisUrl& url, Deadline deadline);
  Result<std::size_t> moved(const std::expected<TlsClient::Moved, TlsFault>& done,
                            TlsClient::Need& need);

  const int socket_;
  mutable std::optional<TlsClient> tls_;  // looking whether something has come changes it
  bool received_ = false;                 // anything over TLS
  // Of the last that could not be done: receiving may have to write, and sending to read.
  TlsClient::Need sending_ = TlsClient::Need::kToWrite;
  TlsClient::Need receiving_ = TlsClient::Need::kToRead;
};

}  // namespace sluice::clients
