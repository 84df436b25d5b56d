#include "app/http_client.h"

// Boost 1.74 with g++ 12 needs these two before Asio.
#include <exception>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <limits>

#include "base/text.h"

namespace sluice::app {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using boost::asio::ip::tcp;

Failure unreachable(const Url& url, const beast::error_code& error) {
  return unavailable("unreachable", "no answer from " + url.host + ":" + url.port + ": " +
                                        error.message() + "; is `sluice serve` running there?");
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url out;
  if (!text.starts_with("http://")) {
    return invalid("bad_url", "'" + printable(text) + "' is not a URL that starts with http://");
  }
  text.remove_prefix(7);
  const auto slash = text.find('/');
  if (slash != std::string_view::npos) out.path = text.substr(slash);
  auto authority = text.substr(0, slash);
  const auto colon = authority.rfind(':');
  if (colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos) {
    out.port = authority.substr(colon + 1);
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[')) authority = authority.substr(1, authority.size() - 2);
  if (authority.empty()) return invalid("bad_url", "the URL has no host");
  out.host = authority;
  return out;
}

Result<HttpAnswer> http_request(const Url& url, std::string_view method, std::string_view body,
                                std::chrono::milliseconds timeout) {
  boost::asio::io_context loop;
  beast::tcp_stream stream(loop);
  beast::error_code error;
  tcp::resolver resolver(loop);
  const auto found = resolver.resolve(url.host, url.port, error);
  if (error) return unreachable(url, error);
  http::request<http::string_body> request(http::string_to_verb({method.data(), method.size()}),
                                           {url.path.data(), url.path.size()}, 11);
  request.set(http::field::host, url.host + ":" + url.port);
  if (!body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = body;
  request.prepare_payload();
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> answer;
  answer.body_limit(std::numeric_limits<std::uint64_t>::max());
  stream.expires_after(timeout);
  stream.async_connect(found, [&](beast::error_code failed, const tcp::endpoint&) {
    error = failed;
    if (error) return;
    http::async_write(stream, request, [&](beast::error_code broken, std::size_t) {
      error = broken;
      if (error) return;
      http::async_read(stream, buffer, answer,
                       [&](beast::error_code cut, std::size_t) { error = cut; });
    });
  });
  loop.run();
  if (error) return unreachable(url, error);
  return HttpAnswer{static_cast<int>(answer.get().result_int()), std::move(answer.get().body())};
}

}  // namespace sluice::app
