// Where something listens, and listening there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace sluice::transport {

struct Address {
  std::string host;
  std::uint16_t port = 0;
  std::string show() const;
};

// "0.0.0.0:8000", "[::1]:8000", "localhost:8000", ":8000".
Result<Address> parse_address(std::string_view text);

struct Listening {
  Fd socket;
  Address address;  // with the real port
};

// `what` names the listener in messages. Errors: kUnavailable/`port_in_use` and `cannot_listen`.
Result<Listening> listen_on(const Address& address, std::string_view what);

}  // namespace sluice::transport
