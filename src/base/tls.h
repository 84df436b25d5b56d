// TLS as a client speaks it, over a connected socket that does not block; by OpenSSL.
//
// 1.2 or newer. The certificate of the other end is always checked: that an authority has signed it
// which this machine knows, or a file names, and that it is for the host that was meant. The client
// has none of its own.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;

namespace sluice {

struct TlsFault {
  enum class Kind : std::uint8_t {
    kAuthorities,  // their file cannot be read, or has none
    kExpired,
    kNotYetValid,
    kOtherName,  // the certificate is for other hosts
    kUnknownAuthority,
    kUntrusted,         // something else is wrong with the certificate: `text`
    kNoTls,             // what answers does not speak it
    kWantsCertificate,  // the other end wants one of the client
    kClosed,            // the connection was closed or cut: `text`
    kOther,             // `text`
  };

  Kind kind = Kind::kOther;
  std::string text;  // in OpenSSL's or the system's words; may be empty
};

class TlsClient {
 public:
  // What the socket must be ready for before anything more can be done.
  enum class Need : std::uint8_t { kNothing, kToRead, kToWrite };
  struct Moved {
    std::size_t bytes = 0;
    Need need = Need::kNothing;  // where there are none
  };

  // `host`: a name, or an IP address. `authorities`: a PEM file of certificates; empty: those that
  // the system knows. The socket stays the caller's, and open for as long as this is there.
  static std::expected<TlsClient, TlsFault> make(int socket, const std::string& host,
                                                 const std::string& authorities);

  // Until nothing is needed; before anything else.
  std::expected<Need, TlsFault> shake_hands();
  // As much as goes; what did not go is to be sent again, unchanged. At the end of the other end:
  // TlsFault::kClosed.
  std::expected<Moved, TlsFault> send(std::string_view bytes);
  std::expected<Moved, TlsFault> receive(std::span<char> into);
  // Nothing has come, and the other end has not closed.
  bool quiet();

 private:
  struct Free {
    void operator()(ssl_st* session) const;
  };
  explicit TlsClient(ssl_st* session) : session_(session) {}

  std::unique_ptr<ssl_st, Free> session_;
};

}  // namespace sluice
