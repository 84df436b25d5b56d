#include "clients/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "base/text.h"

namespace sluice::clients {
namespace {

constexpr std::size_t kErrorBody = 64 << 10;
constexpr std::size_t kMaxHeaders = 256;

// libcurl wants to be initialised once in a process, by one thread.
void initialise_curl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// What one request has come to.
struct Exchange {
  const HttpRequest& request;
  const HttpSink& sink;
  HttpAnswer answer{};
  bool enough = false;     // the sink wants no more
  bool too_large = false;  // more than the request allows
  std::uint64_t sent = 0;  // of the request's file
  bool unreadable = false;

  bool good() const { return answer.status >= 200 && answer.status < 300; }
};

void begin_head(Exchange& exchange, std::string_view line) {
  // Of an interim answer or a redirect before this one nothing is kept.
  exchange.answer = {};
  const auto space = line.find(' ');
  if (space == std::string_view::npos) return;
  exchange.answer.status = static_cast<int>(parse_int(line.substr(space + 1, 3)).value_or(0));
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  std::string_view line(data, size * count);
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    begin_head(exchange, line);
  } else if (const auto colon = line.find(':');
             colon != std::string_view::npos && exchange.answer.headers.size() < kMaxHeaders) {
    exchange.answer.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
  }
  return size * count;
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::size_t length = size * count;
  if (exchange.sink && exchange.good()) {
    exchange.enough = !exchange.sink(exchange.answer, std::as_bytes(std::span(data, length)));
    return exchange.enough ? 0 : length;
  }
  auto& body = exchange.answer.body;
  if (exchange.sink) {
    body.append(data, std::min(length, kErrorBody - std::min(kErrorBody, body.size())));
    return length;
  }
  if (body.size() + length > exchange.request.max_body) {
    exchange.too_large = true;
    return 0;
  }
  body.append(data, length);
  return length;
}

// What comes next of the request's file.
std::size_t on_send(char* buffer, std::size_t size, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const HttpFile& file = exchange.request.file;
  const auto length = std::min<std::uint64_t>(size * count, file.length - exchange.sent);
  if (length == 0) return 0;
  ssize_t got = -1;
  do {
    got = ::pread(file.fd->get(), buffer, length, static_cast<off_t>(file.offset + exchange.sent));
  } while (got < 0 && errno == EINTR);
  exchange.unreadable = got <= 0;
  if (exchange.unreadable) return CURL_READFUNC_ABORT;
  exchange.sent += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

// libcurl begins anew where a kept connection turns out to have ended.
int on_seek(void* user, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  static_cast<Exchange*>(user)->sent = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto* stop = static_cast<Exchange*>(user)->request.stop;
  return stop != nullptr && stop->load(std::memory_order_relaxed) ? 1 : 0;
}

bool is_this_machine(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// Where clouds hand out credentials to those that run there, which no router takes anywhere. A
// proxy would get the token of the one that asks, and know nothing.
bool is_metadata_service(const std::string& host) {
  return host.starts_with("169.254.") || host.starts_with("fd00:ec2::") ||
         host == "metadata.google.internal";
}

struct List {
  ~List() { curl_slist_free_all(items); }
  void add(const std::string& line) { items = curl_slist_append(items, line.c_str()); }
  curl_slist* items = nullptr;
};

// Whose certificates are trusted beside those of the machine's own tools: the variables of curl and
// OpenSSL, as they are when the client is made.
struct Trust {
  std::string file;
  std::string directory;

  static Trust of_environment() {
    const auto variable = [](const char* name) {
      const char* value = std::getenv(name);
      return std::string(value == nullptr ? "" : value);
    };
    Trust out{variable("CURL_CA_BUNDLE"), variable("SSL_CERT_DIR")};
    if (out.file.empty()) out.file = variable("SSL_CERT_FILE");
    return out;
  }

  void set(CURL* curl) const {
    if (!file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, file.c_str());
    if (!directory.empty()) curl_easy_setopt(curl, CURLOPT_CAPATH, directory.c_str());
  }
};

void set_limits(CURL* curl, const HttpRequest& request) {
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(request.connect_timeout.count()));
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(request.stall_rate));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_time.count()));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
  const bool tls = request.url.starts_with("https://");
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, tls ? "https" : "http");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, request.follow ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  const auto url = parse_http_url(request.url);
  if (url && (is_this_machine(url->host) || is_metadata_service(url->host))) {
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
  }
}

void set_file(CURL* curl, Exchange& exchange) {
  curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
  curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                   static_cast<curl_off_t>(exchange.request.file.length));
  curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
  curl_easy_setopt(curl, CURLOPT_READDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
  curl_easy_setopt(curl, CURLOPT_SEEKDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange.request.method.c_str());
}

void set_request(CURL* curl, Exchange& exchange, List& headers) {
  const HttpRequest& request = exchange.request;
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  // The path goes out as it was signed.
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.file.fd != nullptr) {
    set_file(curl, exchange);
  } else if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  headers.add("Expect:");
  for (const auto& [name, value] : request.headers) headers.add(name + ": " + value);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.items);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
}

Failure failure_of(CURLcode code, const Exchange& exchange) {
  if (exchange.too_large) {
    return fail(Code::kResourceExhausted, "too_large",
                "the answer is larger than " + human_bytes(exchange.request.max_body));
  }
  if (exchange.unreadable) {
    return fail(Code::kInternal, "unreadable",
                "the file that is sent cannot be read, or has become shorter");
  }
  // Where a tunnel was asked for.
  if (exchange.answer.status == 407) {
    return unavailable("unreachable",
                       "the proxy wants a login; write it into http_proxy or https_proxy as "
                       "http://user:password@host:port");
  }
  const std::string why = curl_easy_strerror(code);
  switch (code) {
    case CURLE_ABORTED_BY_CALLBACK: return fail(Code::kCancelled, "stopped", "it was broken off");
    case CURLE_OPERATION_TIMEDOUT: return unavailable("stalled", "too slow, or no answer in time");
    case CURLE_PEER_FAILED_VERIFICATION:
      return fail(Code::kFailedPrecondition, "bad_certificate",
                  "the server's certificate cannot be trusted; where an authority of your own has "
                  "signed it, name that one's certificate in SSL_CERT_FILE");
    case CURLE_SSL_CACERT_BADFILE:
      return fail(
          Code::kFailedPrecondition, "bad_certificate",
          "the file of certificates cannot be read; check CURL_CA_BUNDLE and SSL_CERT_FILE");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return invalid("bad_url", "not a URL that can be asked");
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING: return unavailable("cut", "the connection was cut: " + why);
    default: return unavailable("unreachable", why);
  }
}

// What was written is not repeated: it may have a password in it, or be the path of a file.
Failure no_http_url(std::string_view scheme) {
  constexpr std::size_t kLongest = 24;
  const bool shown =
      !scheme.empty() && scheme.size() <= kLongest && std::ranges::all_of(scheme, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
               (c >= '0' && c <= '9') || c == '-' || c == '.';
      });
  return invalid("bad_url", "expected a URL that starts with http:// or https://" +
                                (shown ? ", not with " + std::string(scheme) + "://" : ""));
}

}  // namespace

struct HttpClient::Pool {
  ~Pool() {
    for (CURL* curl : idle) curl_easy_cleanup(curl);
  }
  CURL* take() {
    const std::lock_guard lock(mutex);
    if (idle.empty()) return curl_easy_init();
    CURL* curl = idle.back();
    idle.pop_back();
    return curl;
  }
  // The connection stays with the handle; its options do not.
  void give_back(CURL* curl) {
    curl_easy_reset(curl);
    const std::lock_guard lock(mutex);
    idle.push_back(curl);
  }

  const Trust trust = Trust::of_environment();
  std::mutex mutex;
  std::vector<CURL*> idle;  // guarded by mutex
};

HttpClient::HttpClient() : pool_(std::make_unique<Pool>()) { initialise_curl(); }
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::send(const HttpRequest& request, const HttpSink& sink) const {
  CURL* curl = pool_->take();
  if (curl == nullptr) return internal("no HTTP request can be made: memory is short");
  Exchange exchange{request, sink};
  List headers;
  set_limits(curl, request);
  set_request(curl, exchange, headers);
  pool_->trust.set(curl);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
  const CURLcode code = curl_easy_perform(curl);
  pool_->give_back(curl);
  if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && exchange.enough)) {
    return std::move(exchange.answer);
  }
  return failure_of(code, exchange);
}

const std::string* find_header(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (iequals(key, name)) return &value;
  }
  return nullptr;
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    if (plain) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = static_cast<char>(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool coded =
        text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
    if (coded) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<Url> parse_http_url(std::string_view text) {
  Url out;
  const auto colon = text.find("://");
  out.scheme = text.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (out.scheme != "http" && out.scheme != "https") return no_http_url(out.scheme);
  text.remove_prefix(colon + 3);
  if (const auto hash = text.find('#'); hash != std::string_view::npos) {
    out.fragment = text.substr(hash + 1);
    text = text.substr(0, hash);
  }
  if (const auto mark = text.find('?'); mark != std::string_view::npos) {
    out.query = text.substr(mark + 1);
    text = text.substr(0, mark);
  }
  const auto slash = text.find('/');
  out.path = slash == std::string_view::npos ? "/" : text.substr(slash);
  auto authority = text.substr(0, slash);
  out.authority = authority;
  if (authority.find('@') != std::string_view::npos) {
    return invalid("bad_url", "the URL has a user or password in it; leave it out");
  }
  out.port = out.scheme == "https" ? "443" : "80";
  const auto port = authority.rfind(':');
  if (port != std::string_view::npos && authority.find(']', port) == std::string_view::npos) {
    out.port = authority.substr(port + 1);
    authority = authority.substr(0, port);
  }
  if (authority.starts_with('[') && authority.ends_with(']')) {
    authority = authority.substr(1, authority.size() - 2);
  }
  if (authority.empty()) return invalid("bad_url", "the URL has no host");
  out.host = authority;
  return out;
}

}  // namespace sluice::clients
