#include "app/http_client.h"

#include <limits>

namespace sluice::app {

Result<Url> parse_url(std::string_view text) { return clients::parse_http_url(text); }

Url local_url(const std::string& port, const std::string& path) {
  return {"http", "127.0.0.1:" + port, "127.0.0.1", port, path, {}, {}};
}

Result<HttpAnswer> http_request(const Url& url, std::string_view method, std::string_view body,
                                std::chrono::milliseconds timeout) {
  clients::HttpRequest request;
  request.method = method;
  request.url = url.origin() + url.path;
  request.body = body;
  request.connect_timeout = timeout;
  request.timeout = timeout;
  request.stall_rate = 0;  // a model may think for as long as the whole may take
  request.max_body = std::numeric_limits<std::uint64_t>::max();
  if (method != "GET") request.headers.emplace_back("Content-Type", "application/json");
  auto answer = clients::HttpClient().send(request);
  if (answer) return answer;
  return unavailable("unreachable", "no answer from " + url.host + ":" + url.port + ": " +
                                        answer.error().message +
                                        "; is `sluice serve` running there?");
}

}  // namespace sluice::app
