// https://host/fraud.onnx#sha256=HEX      one file, with its digest
// https://host/fraud.onnx                 the digest is in fraud.onnx.sha256 beside it, if at all
// https://host/fraud/v3/model.onnx        the same: model fraud, version v3
// https://host/models/                    a tree, whose files manifest.sha256 lists with digests

#include <algorithm>
#include <map>
#include <memory>

#include "base/log.h"
#include "base/text.h"
#include "sources/manifest.h"
#include "sources/retry.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kTitle = "the web server";
constexpr std::chrono::seconds kShort{60};
constexpr std::uint64_t kMaxTree = std::uint64_t{64} << 20;  // its manifest, of all versions

clients::HttpRequest request_of(std::string_view method, std::string url) {
  clients::HttpRequest out;
  out.method = method;
  out.url = std::move(url);
  out.follow = true;
  return out;
}

// A web server has nobody's keys.
Error in_web_words(Error error) {
  if (error.code != Code::kPermissionDenied) return error;
  error.message = std::string(kTitle) +
                  " refuses access: what is asked for is not public, or a signed link has expired; "
                  "Sluice has no credentials for web servers";
  return error;
}

Result<void> check_web(const clients::HttpAnswer& answer) {
  auto checked = check_status(answer, kTitle);
  if (!checked) return Failure(in_web_words(std::move(checked).error()));
  return checked;
}

// What changes with the content, as far as the server says.
std::string tag_of(const clients::HttpAnswer& answer) {
  for (const char* name : {"ETag", "Last-Modified"}) {
    if (const auto* tag = clients::find_header(answer.headers, name)) return *tag;
  }
  return {};
}

std::string_view without_weak(std::string_view etag) {
  return etag.starts_with("W/") ? etag.substr(2) : etag;
}

bool is_etag(std::string_view tag) { return without_weak(tag).starts_with('"'); }

// Where there is no digest nothing else shows that pieces are of two versions.
bool is_same(const Object& object, const clients::HttpAnswer& head) {
  if (!object.sha256.empty()) return true;
  const auto total = range_total(head);
  if (total && *total != object.size) return false;
  const auto tag = tag_of(head);
  // Some servers say a date to HEAD and an ETag to GET.
  const bool comparable =
      !tag.empty() && !object.etag.empty() && is_etag(tag) == is_etag(object.etag);
  return !comparable || without_weak(tag) == without_weak(object.etag);
}

class WebServer : public ObjectStore {
 public:
  // `base`: everything before the files' paths, with a slash at its end. `query` goes with each.
  WebServer(std::string base, std::string query)
      : base_(std::move(base)), query_(std::move(query)) {}

  std::string_view name() const override { return kTitle; }
  bool has_ranges() const override { return ranges_.load(); }

  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    auto request = request_of("GET", url_of(object.key));
    if (has_ranges()) request.headers = range_headers(object, range);
    request.stop = &stop;
    const SameObject same = [&](const clients::HttpAnswer& head) { return is_same(object, head); };
    SLUICE_CHECK(
        fetch_range(client_, std::move(request), object, range, kTitle, sink, same, check_web));
    return Fetched{false};  // a web server's ETag is no digest
  }

 protected:
  std::string url_of(const std::string& key) const {
    return base_ + clients::percent_encode(key, true) + (query_.empty() ? "" : "?" + query_);
  }

  // Size and ETag.
  Result<Object> look_at(const std::string& key, const std::atomic<bool>& stop) {
    auto asked = with_retries(stop, [&] { return head_of(key, stop); });
    if (!asked) return Failure(about_file({key, 0, {}, {}, {}}, std::move(asked).error()));
    const auto& answer = *asked;
    const auto size = size_of(answer);
    const auto name = "'" + printable(key.substr(key.rfind('/') + 1)) + "'";
    if (is_page_instead_of(key, answer)) {
      return unavailable("not_a_store",
                         std::string(kTitle) + " answers with a web page in place of " + name);
    }
    if (!size) {
      return unavailable("unsized", std::string(kTitle) + " does not say how large " + name +
                                        " is; let it send Content-Length");
    }
    const auto* ranges = clients::find_header(answer.headers, "Accept-Ranges");
    const bool gives =
        answer.status == 206 || (ranges != nullptr && ranges->find("bytes") != std::string::npos);
    if (*size > 0) ranges_ = gives;  // one without a byte says nothing of them
    return Object{key, *size, tag_of(answer), {}, {}};
  }

  // A small text; nothing where there is no such file.
  Result<std::optional<std::string>> text_of(const std::string& key, std::uint64_t limit,
                                             const std::atomic<bool>& stop) {
    auto request = request_of("GET", url_of(key));
    request.timeout = kShort;
    request.max_body = limit;
    request.stop = &stop;
    auto answer = with_retries(stop, [&] { return fetch_document(client_, request, kTitle); });
    if (answer) return std::move(answer->body);
    if (answer.error().code == Code::kNotFound) return std::nullopt;
    return Failure(in_web_words(std::move(answer).error()));
  }

 private:
  // The head of an answer, whatever its status.
  Result<clients::HttpAnswer> ask(std::string_view method, const std::string& key,
                                  const std::atomic<bool>& stop) {
    auto request = request_of(method, url_of(key));
    request.timeout = kShort;
    request.stop = &stop;
    if (method == "GET") request.headers.emplace_back("Range", "bytes=0-0");
    // Who does not know ranges sends all of it.
    const auto one = [](const clients::HttpAnswer& head, std::span<const std::byte>) {
      return head.status == 206;
    };
    auto answer = client_.send(request, one);
    if (!answer) return Failure(unanswered(std::move(answer).error(), kTitle, request.url));
    return answer;
  }

  // By HEAD; where that does not answer it, by a GET of one byte: links that are signed for GET
  // refuse HEAD, some servers do not know it, and some do not say a length then.
  Result<clients::HttpAnswer> head_of(const std::string& key, const std::atomic<bool>& stop) {
    auto answer = ask("HEAD", key, stop);
    if (!answer && answer.error().reason != "cut") return answer;
    // Some say 0 to HEAD, whatever there is.
    const bool told = answer && answer->status / 100 == 2 && size_of(*answer).value_or(0) > 0;
    if (!told) {
      auto got = ask("GET", key, stop);
      // Of a file without a byte there is no range: then HEAD was right.
      const bool was_right =
          got && got->status == 416 && answer && answer->status / 100 == 2 && size_of(*answer) == 0;
      if (!was_right) answer = std::move(got);
    }
    if (!answer) return answer;
    const bool empty = answer->status == 416 && range_total(*answer) == 0;
    if (!empty) SLUICE_CHECK(check_web(*answer));
    return answer;
  }

  static std::optional<std::uint64_t> size_of(const clients::HttpAnswer& answer) {
    if (answer.status == 206 || answer.status == 416) return range_total(answer);
    const auto* length = clients::find_header(answer.headers, "Content-Length");
    return length == nullptr ? std::nullopt : parse_uint(*length);
  }

  const std::string base_;
  const std::string query_;
  const clients::HttpClient client_;
  std::atomic<bool> ranges_{false};
};

class OneFile final : public WebServer {
 public:
  OneFile(std::string base, std::string query, std::string file, std::string sha256)
      : WebServer(std::move(base), std::move(query)),
        file_(std::move(file)),
        sha256_(std::move(sha256)) {}

  std::string_view digests_are_in() const override {
    return sha256_.empty() ? "the .sha256 file beside it" : "its URL";
  }
  std::string_view digest_advice() const override {
    return "add #sha256=… to its URL, or put a .sha256 file beside it";
  }

  Result<std::vector<Object>> list(const std::atomic<bool>& stop) override {
    SLUICE_TRY(auto object, look_at(file_, stop));
    object.sha256 = sha256_;
    if (sha256_.empty()) {
      SLUICE_TRY(object.sha256, beside(stop));
    }
    return std::vector{std::move(object)};
  }

 private:
  Result<std::string> beside(const std::atomic<bool>& stop) {
    auto text = text_of(file_ + ".sha256", 1 << 16, stop);
    if (!text && is_absence(text.error())) return std::string();
    if (!text) return Failure(std::move(text).error());
    if (!*text) return std::string();
    const auto own = file_.substr(file_.rfind('/') + 1);
    const auto digest = digest_beside(**text, own);
    had_digest_ = digest.has_value();
    if (digest) return *digest;
    return fail(Code::kFailedPrecondition, "bad_manifest",
                "the .sha256 file beside the model is not of the form that sha256sum writes, or "
                "has no line for '" +
                    printable(own) + "'");
  }

  // Servers that answer everything with a page have no such file; buckets refuse what is not there
  // to those who may not list, though they may read the model.
  bool is_absence(const Error& error) const {
    return error.reason == "not_a_store" || (error.code == Code::kPermissionDenied && !had_digest_);
  }

  const std::string file_;
  const std::string sha256_;
  bool had_digest_ = false;
};

class WebTree final : public WebServer {
 public:
  using WebServer::WebServer;

  bool lists_whole_versions() const override { return true; }

  Result<std::vector<Object>> list(const std::atomic<bool>& stop) override {
    SLUICE_TRY(const auto text, text_of(std::string(kManifest), kMaxTree, stop));
    if (!text) {
      return not_found("no_such_path", std::string(kTitle) +
                                           " has no manifest.sha256 there; write one with "
                                           "sha256sum, for all files below it");
    }
    SLUICE_TRY(const auto lines, read_manifest(*text));
    std::vector<Object> out;
    std::map<std::string, Object> seen;
    for (const auto& line : lines) {
      // What has the same digest has the same size: files are asked for once.
      const auto known = seen_.find(line.file + ":" + line.digest);
      if (known != seen_.end()) {
        seen.insert(*known);
        out.push_back(known->second);
        continue;
      }
      SLUICE_TRY(auto object, listed(line, stop));
      if (object.place.empty()) seen.emplace(line.file + ":" + line.digest, object);
      out.push_back(std::move(object));
    }
    seen_ = std::move(seen);
    return out;
  }

  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override {
    if (object.place.empty()) return WebServer::fetch(object, range, sink, stop);
    // Not kNotFound, which would be the store's trouble: it is that of what this file belongs to.
    return fail(Code::kFailedPrecondition, "unfinished", object.place);
  }

 private:
  // One that is not there, refused, answered with a page (which some servers send for whatever they
  // do not have) or not to be had otherwise is listed with what is wrong in its place, so that its
  // version fails, and no other.
  Result<Object> listed(const ManifestLine& line, const std::atomic<bool>& stop) {
    auto object = look_at(line.file, stop);
    if (object) {
      object->sha256 = line.digest;
      object->etag = line.digest;
      return object;
    }
    const auto& error = object.error();
    const bool passes = error.code == Code::kUnavailable && error.reason != "not_a_store" &&
                        error.reason != "unsized";
    if (passes || error.code == Code::kCancelled) return object;
    // A size that makes somebody fetch it.
    return Object{line.file, 1, "missing", line.digest, why_not(line.file, error)};
  }

  static std::string why_not(const std::string& file, const Error& error) {
    const auto named = "'" + printable(file) + "' is in manifest.sha256, but ";
    const bool refused = error.code == Code::kNotFound || error.code == Code::kPermissionDenied ||
                         error.reason == "not_a_store";
    if (!refused) return named + error.message;
    return named + std::string(kTitle) +
           " does not have it, or does not give it to everybody: not all of the version is there "
           "yet";
  }

  std::map<std::string, Object> seen_;
};

}  // namespace

Result<Located> open_https(std::string_view text, const Layout& layout, const Environment&) {
  SLUICE_TRY(const auto url, clients::parse_http_url(text));
  const auto path = clients::percent_decode(url.path);
  if (path.ends_with('/')) {
    auto base = url.origin() + url.path;
    const auto split = split_file(path, layout);
    return Located{std::make_unique<WebTree>(std::move(base), url.query),
                   split.name.empty() ? url.host : split.name, "", std::string(text)};
  }
  constexpr std::string_view kDigest = "sha256=";
  std::string sha256;
  if (!url.fragment.empty()) {
    const auto digest = url.fragment.starts_with(kDigest)
                            ? read_sha256(std::string_view(url.fragment).substr(kDigest.size()))
                            : std::nullopt;
    if (!digest) {
      return invalid("bad_url", "after # only sha256= and 64 hexadecimal digits are expected");
    }
    sha256 = *digest;
  }
  if (auto known = layout.check_file(path.substr(path.rfind('/') + 1)); !known) {
    return invalid("unknown_format",
                   known.error().message + "; the URL of a directory ends with a slash");
  }
  auto split = split_file(path, layout);
  auto base = url.origin() + clients::percent_encode(split.root + "/", true);
  auto store = std::make_unique<OneFile>(std::move(base), url.query, split.file, std::move(sha256));
  return Located{std::move(store), split.name, split.file, std::string(text)};
}

}  // namespace sluice::sources
