// Where Redis is, as the state and feature stores are told:
//
//   redis://[[user]:password@]host[:port][/database]
//   rediss://…[?cacert=FILE]
//   redis+sentinel://[[user]:password@]host[:port],host[:port]/name[/database]
//
// The second is over TLS, with a server whose certificate an authority of FILE has signed, else one
// that the system knows. The third names sentinels, who know which server is the primary called
// `name` at the moment; they are asked without a password and without TLS. User and password are
// Redis's. What is special in them, the name and FILE is percent-encoded.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace sluice::clients {

struct RedisAddress {
  std::string host;  // without brackets
  std::string port;
};

struct RedisUrl {
  std::string user;      // empty: the default one
  std::string password;  // empty: no AUTH
  std::string host;      // without brackets; empty where sentinels know it
  std::string port = "6379";
  std::int64_t database = 0;
  bool tls = false;
  std::string authorities;              // a PEM file; empty: those of the system
  std::vector<RedisAddress> sentinels;  // empty: there are none
  std::string primary;                  // what sentinels call it; empty: any server will do
};

// Errors: kInvalidArgument/`bad_store_url`; the message shows nothing of the URL.
Result<RedisUrl> parse_redis_url(std::string_view text);

}  // namespace sluice::clients
