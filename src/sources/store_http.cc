#include "sources/store_http.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "sources/aws_profile.h"

namespace sluice::sources {
namespace {

// Never what the store says itself: that may have names and keys of others in it.
std::string refusal(int status) {
  switch (status) {
    case 401:
    case 403: return "refuses access; check the credentials and what they allow";
    case 404: return "does not have what was asked for";
    case 412: return "has another object by now than the one that was listed";
    case 408:
    case 429: return "asks to be left alone for a while (" + std::to_string(status) + ")";
    default: break;
  }
  if (status >= 500) return "fails with status " + std::to_string(status);
  if (status == 407) {
    return "is behind a proxy that wants a login; write it into http_proxy or https_proxy as "
           "http://user:password@host:port";
  }
  return "answers with status " + std::to_string(status) + ", which is not expected here";
}

bool says_html(const clients::HttpAnswer& answer) {
  const auto* type = clients::find_header(answer.headers, "Content-Type");
  return type != nullptr && iequals(std::string_view(*type).substr(0, 9), "text/html");
}

bool is_named_html(std::string_view key) {
  const auto end = key.substr(std::min(key.rfind('.'), key.size()));
  return iequals(end, ".html") || iequals(end, ".htm");
}

// Not where to: what is said here may be read by whoever may ask for answers.
std::string redirect(std::string_view location) {
  const bool tls = iequals(location.substr(0, 8), "https://");
  return std::string("answers with a redirect, to a login page perhaps") +
         (tls ? "; or to itself by https: begin its address with https://" : "");
}

bool is_busy(const clients::HttpAnswer& answer) {
  return answer.status == 429 || answer.status >= 500;
}

// The variable that names this server, where one does.
std::string_view variable_of(const clients::Url& asked) {
  constexpr std::array<const char*, 8> kVariables = {
      "AWS_ENDPOINT_URL_S3",   "AWS_ENDPOINT_URL",
      "AWS_ENDPOINT_URL_STS",  "MLFLOW_S3_ENDPOINT_URL",
      "STORAGE_EMULATOR_HOST", "MLFLOW_TRACKING_URI",
      "MLFLOW_REGISTRY_URI",   "AWS_CONTAINER_CREDENTIALS_FULL_URI"};
  for (const char* name : kVariables) {
    auto text = process_environment(name).value_or("");
    if (text.find("://") == std::string::npos) text = "http://" + text;
    const auto url = clients::parse_http_url(text);
    if (url && url->host == asked.host && url->port == asked.port) return name;
  }
  return {};
}

// The variable of a proxy that may be in between, as libcurl reads them.
std::string_view proxy_of(const clients::Url& asked) {
  const bool tls = asked.scheme == "https";
  const bool own =
      asked.host == "localhost" || asked.host == "::1" || asked.host.starts_with("127.");
  if (own) return {};
  const std::array<const char*, 4> variables = {tls ? "https_proxy" : "http_proxy",
                                                tls ? "HTTPS_PROXY" : "http_proxy", "all_proxy",
                                                "ALL_PROXY"};
  for (const char* name : variables) {
    if (process_environment(name)) return name;
  }
  return {};
}

// " of VARIABLE", which says the address to those who may know it.
std::string place_of(std::string_view text) {
  const auto url = clients::parse_http_url(text);
  if (!url) return {};
  std::string out;
  if (const auto variable = variable_of(*url); !variable.empty()) {
    out += " of " + std::string(variable);
  }
  if (const auto proxy = proxy_of(*url); !proxy.empty()) {
    out += ", asked through the proxy of " + std::string(proxy) + " unless no_proxy excepts it";
  }
  return out;
}

Failure web_page(std::string_view what) {
  return unavailable("not_a_store", std::string(what) +
                                        " answers with a web page; a proxy or a login page is in "
                                        "between, or the address is another service's");
}

// The first byte of a 206, by its Content-Range ("bytes 5-9/100").
std::optional<std::uint64_t> range_start(const clients::HttpAnswer& answer) {
  const auto* text = clients::find_header(answer.headers, "Content-Range");
  if (text == nullptr || !text->starts_with("bytes ")) return std::nullopt;
  const auto first = std::string_view(*text).substr(6);
  return parse_uint(first.substr(0, first.find('-')));
}

}  // namespace

bool is_web_page(const clients::HttpAnswer& answer) {
  const auto body = trim(answer.body);
  return says_html(answer) || body.starts_with("<!") || body.starts_with("<html");
}

bool is_page_instead_of(std::string_view key, const clients::HttpAnswer& answer) {
  // Who answers with a range of it has it; of an empty one there is none.
  const bool has_it = answer.status == 206 || answer.status == 416;
  return says_html(answer) && !has_it && !is_named_html(key);
}

std::optional<std::uint64_t> range_total(const clients::HttpAnswer& answer) {
  const auto* text = clients::find_header(answer.headers, "Content-Range");
  const auto slash = text == nullptr ? std::string::npos : text->rfind('/');
  return slash == std::string::npos ? std::nullopt
                                    : parse_uint(std::string_view(*text).substr(slash + 1));
}

Result<void> check_status(const clients::HttpAnswer& answer, std::string_view what) {
  const int status = answer.status;
  if (status >= 200 && status < 300) return {};
  auto message = std::string(what) + " " + refusal(status);
  if (status / 100 == 3 || status == 407) {
    const auto* location = clients::find_header(answer.headers, "Location");
    if (location != nullptr) message = std::string(what) + " " + redirect(*location);
    return unavailable("not_a_store", std::move(message));
  }
  if (status == 401 || status == 403) {
    return fail(Code::kPermissionDenied, "refused", std::move(message));
  }
  if (status == 404 || status == 410) return not_found("no_such_object", std::move(message));
  if (status == 412) return unavailable("changing", std::move(message));
  if (status == 408 || status == 429 || status >= 500) {
    return unavailable("store_busy", std::move(message));
  }
  return fail(Code::kFailedPrecondition, "strange_answer", std::move(message));
}

Result<void> check_document(const clients::HttpAnswer& answer, std::string_view what) {
  SLUICE_CHECK(check_status(answer, what));
  if (is_web_page(answer)) return web_page(what);
  return {};
}

Error named(Error error, std::string_view what) {
  error.message = std::string(what) + ": " + error.message;
  return error;
}

Error unanswered(Error error, std::string_view what, std::string_view url) {
  if (error.code == Code::kCancelled) return named(std::move(error), what);
  return named(std::move(error), std::string(what) + place_of(url));
}

Result<clients::Url> url_of_variable(std::string_view name, std::string_view text) {
  // As secrets of Kubernetes end.
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  auto url = clients::parse_http_url(text);
  if (!url) return Failure(named(std::move(url).error(), name));
  return url;
}

clients::HttpHeaders range_headers(const Object& object, Range range) {
  clients::HttpHeaders out;
  if (range.length > 0) {
    out.emplace_back("Range", "bytes=" + std::to_string(range.offset) + "-" +
                                  std::to_string(range.offset + range.length - 1));
  }
  // Weak ETags never match, and what is not quoted is none (a date, a version).
  if (object.etag.starts_with('"')) out.emplace_back("If-Match", object.etag);
  return out;
}

Result<clients::HttpAnswer> fetch_range(const clients::HttpClient& client,
                                        clients::HttpRequest request, const Object& object,
                                        Range range, std::string_view what, const ByteSink& sink,
                                        const SameObject& same, const StatusCheck& check) {
  const bool to_end = range.offset + range.length == object.size;
  std::uint64_t left = range.length;
  std::optional<std::uint64_t> skip;
  bool page = false;
  bool misplaced = false;
  bool other = false;
  const auto take = [&](const clients::HttpAnswer& head, std::span<const std::byte> piece) {
    if (!skip) {
      page = is_page_instead_of(object.key, head);
      if (page) return false;
      const auto start = head.status == 206 ? range_start(head) : std::optional<std::uint64_t>(0);
      misplaced = !start || *start > range.offset;
      other = same && head.status / 100 == 2 && !same(head);
      if (misplaced || other) return false;
      skip = range.offset - *start;
    }
    const auto before = std::min<std::uint64_t>(*skip, piece.size());
    *skip -= before;
    piece = piece.subspan(before);
    // More than there is of the object: it is another one.
    other = to_end && piece.size() > left;
    // More than was asked for: the rest of a whole object. A body that ends here ends by itself,
    // and leaves the connection to be used again.
    if (other || left == 0) return false;
    piece = piece.first(std::min<std::uint64_t>(piece.size(), left));
    left -= piece.size();
    return piece.empty() || sink(piece);
  };
  auto answer = client.send(request, take);
  if (!answer) return Failure(unanswered(std::move(answer).error(), what, request.url));
  SLUICE_CHECK(check ? check(*answer) : check_status(*answer, what));
  if (page) return web_page(what);
  if (other) return unavailable("changing", std::string(what) + " " + refusal(412));
  if (misplaced) {
    return fail(Code::kFailedPrecondition, "strange_answer",
                std::string(what) + " answers with another range than the one asked for");
  }
  if (left > 0) return unavailable("cut", std::string(what) + " sent less than it has");
  return answer;
}

Result<std::optional<std::string>> ask_machine(const clients::HttpClient& client,
                                               const clients::HttpRequest& request,
                                               std::string_view what) {
  auto answer = client.send(request);
  if (answer && is_busy(*answer)) {
    return unavailable("bad_credentials", std::string(what) + " fails with status " +
                                              std::to_string(answer->status) + "");
  }
  if (!answer || answer->status != 200) return std::nullopt;
  return std::move(answer->body);
}

Result<clients::HttpAnswer> fetch_document(const clients::HttpClient& client,
                                           const clients::HttpRequest& request,
                                           std::string_view what) {
  auto answer = client.send(request);
  if (!answer) return Failure(unanswered(std::move(answer).error(), what, request.url));
  SLUICE_CHECK(check_document(*answer, what));
  return answer;
}

}  // namespace sluice::sources
