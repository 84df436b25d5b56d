#include "clients/redis_url.h"

#include <optional>
#include <utility>

#include "base/text.h"
#include "clients/http.h"

namespace sluice::clients {
namespace {

struct Scheme {
  std::string_view start;
  std::string_view form;  // of the whole URL
  bool tls = false;
  bool sentinels = false;
};

constexpr Scheme kSchemes[] = {
    {"redis://", "redis://[user:password@]host[:port][/database]"},
    {"rediss://", "rediss://[user:password@]host[:port][/database][?cacert=FILE]", true},
    {"redis+sentinel://", "redis+sentinel://[user:password@]host:port,host:port/name[/database]",
     false, true},
};

// Takes the parts of a URL from its front.
class Parser {
 public:
  Parser(const Scheme& scheme, std::string_view text) : scheme_(scheme), left_(text) {}

  Result<RedisUrl> parse() && {
    SLUICE_CHECK(read_query());
    SLUICE_CHECK(read_user());
    SLUICE_CHECK(scheme_.sentinels ? read_sentinels() : read_server());
    SLUICE_CHECK(read_database());
    return std::move(out_);
  }

 private:
  Failure bad(std::string_view why) const {
    return invalid("bad_store_url", std::string(why) + "; write " + std::string(scheme_.form) +
                                        ", with what is special in a password percent-encoded");
  }

  // What comes before the next slash, which is taken too.
  std::string_view next() {
    const auto slash = left_.find('/');
    const auto out = left_.substr(0, slash);
    left_.remove_prefix(slash == std::string_view::npos ? left_.size() : slash + 1);
    return out;
  }

  Result<void> read_query() {
    if (left_.find('#') != std::string_view::npos) return bad("the URL of Redis has a '#' in it");
    out_.tls = scheme_.tls;
    const auto mark = left_.find('?');
    if (mark == std::string_view::npos) return {};
    if (!scheme_.tls) return bad("the URL of Redis has a '?' in it");
    constexpr std::string_view kFile = "cacert=";
    const auto query = left_.substr(mark + 1);
    if (!query.starts_with(kFile) || query.find('&') != std::string_view::npos) {
      return bad("the URL of Redis has something else than 'cacert=' behind its '?'");
    }
    out_.authorities = percent_decode(query.substr(kFile.size()));
    if (out_.authorities.empty()) return bad("the URL of Redis names no file as its 'cacert'");
    left_ = left_.substr(0, mark);
    return {};
  }

  Result<void> read_user() {
    const auto at = left_.rfind('@');
    if (at == std::string_view::npos) return {};
    const auto text = left_.substr(0, at);
    left_.remove_prefix(at + 1);
    const auto colon = text.find(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) {
      return bad("the URL of Redis has a user without a password");
    }
    out_.user = percent_decode(text.substr(0, colon));
    out_.password = percent_decode(text.substr(colon + 1));
    return {};
  }

  Result<RedisAddress> read_address(std::string_view text, std::string_view port) const {
    RedisAddress out{"", std::string(port)};
    const auto colon = text.rfind(':');
    if (colon != std::string_view::npos && text.find(']', colon) == std::string_view::npos) {
      const auto number = parse_int(text.substr(colon + 1));
      if (!number || *number < 1 || *number > 65535) {
        return bad("the URL of Redis has a port that is not a number from 1 to 65535");
      }
      out.port = std::to_string(*number);
      text = text.substr(0, colon);
    }
    if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
    if (text.empty()) return bad("the URL of Redis has no host");
    out.host = text;
    return out;
  }

  Result<void> read_server() {
    SLUICE_TRY(auto address, read_address(next(), out_.port));
    out_.host = std::move(address.host);
    out_.port = std::move(address.port);
    return {};
  }

  Result<void> read_sentinels() {
    for (const auto part : split(next(), ',')) {
      SLUICE_TRY(auto address, read_address(part, "26379"));
      out_.sentinels.push_back(std::move(address));
    }
    out_.primary = percent_decode(next());
    if (!out_.primary.empty()) return {};
    return bad("the URL of Redis does not say what its sentinels call the primary");
  }

  Result<void> read_database() {
    if (left_.empty()) return {};
    const auto database = parse_int(left_);
    if (!database || *database < 0) {
      return bad("the URL of Redis has a database that is not a number from 0 on");
    }
    out_.database = *database;
    return {};
  }

  const Scheme& scheme_;
  std::string_view left_;
  RedisUrl out_;
};

}  // namespace

Result<RedisUrl> parse_redis_url(std::string_view text) {
  for (const auto& scheme : kSchemes) {
    if (text.starts_with(scheme.start)) {
      return Parser(scheme, text.substr(scheme.start.size())).parse();
    }
  }
  return invalid("bad_store_url",
                 "the URL of Redis does not start with redis://, rediss:// or redis+sentinel://");
}

}  // namespace sluice::clients
