#include "sources/bucket_store.h"

#include "base/text.h"
#include "sources/bucket_errors.h"
#include "sources/listing_xml.h"
#include "sources/object_digest.h"
#include "sources/retry.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::chrono::seconds kListTimeout{60};

// Who answers so without a word of S3's is something else, such as an ingress whose store is not
// there now: no reason to say that the bucket does not exist.
Result<void> check_listing(const clients::HttpAnswer& answer, const std::string& title) {
  if (answer.status != 404 && answer.status != 400) return {};
  if (error_word(answer.body).empty()) {
    return unavailable("not_a_store",
                       title + " answers with status " + std::to_string(answer.status) +
                           ", and not as a store does; something else is in between, or "
                           "the address is another service's");
  }
  if (answer.status == 404) return not_found("no_such_path", title + " does not exist");
  return {};
}

}  // namespace

std::shared_ptr<const BucketAddress> Bucket::address() const {
  const std::lock_guard lock(mutex_);
  return address_;
}

Result<clients::HttpRequest> Bucket::prepare(const Ask& ask, const BucketAddress& address) const {
  ToSign to_sign;
  to_sign.method = ask.method;
  to_sign.host = address.host;
  // A bucket in the path has no slash behind it, as the SDKs write it.
  to_sign.path = ask.key.empty() && !address.path.empty()
                     ? address.path
                     : address.path + "/" + clients::percent_encode(ask.key, true);
  to_sign.query = ask.query;
  to_sign.headers = ask.headers;
  to_sign.payload = ask.payload;
  clients::HttpRequest request;
  request.method = ask.method;
  request.url = address.origin + to_sign.path;
  if (!ask.query.empty()) request.url += "?" + canonical_query(ask.query);
  request.headers = ask.headers;
  SLUICE_CHECK(authorize_(to_sign, request.headers));
  signed_ = clients::find_header(request.headers, "Authorization") != nullptr;
  return request;
}

Result<void> Bucket::check(const clients::HttpAnswer& answer) const {
  return check_bucket(answer, title_, signed_ ? std::string_view() : not_signed_);
}

// S3 says so where a bucket is in another region than the request was signed for. Of threads that
// are told so at the same time the first changes the address, and all of them have a new one to
// ask.
bool Bucket::is_elsewhere(const clients::HttpAnswer& answer,
                          const std::shared_ptr<const BucketAddress>& asked) {
  if (answer.status < 300 || answer.status >= 500 || !on_region_) return false;
  // Some say it in the text alone (Garage, Ceph).
  const auto* header = clients::find_header(answer.headers, "x-amz-bucket-region");
  const auto region = header != nullptr ? *header : error_region(answer.body);
  if (region.empty()) return false;
  const std::lock_guard lock(mutex_);
  if (address_ != asked) return true;
  auto other = on_region_(region);
  if (!other) return false;
  // A new one also where it says the same: the region that is signed for is another by now.
  address_ = std::make_shared<const BucketAddress>(*std::move(other));
  return true;
}

Result<ListingPage> Bucket::page(const std::string& prefix, Depth depth, const std::string& token,
                                 const std::atomic<bool>& stop) {
  Ask ask{"GET", "", {{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", prefix}}, {}, ""};
  if (depth == Depth::kFolder) ask.query.emplace_back("delimiter", "/");
  if (!token.empty()) ask.query.emplace_back("continuation-token", token);
  SLUICE_TRY(const auto answer, send(ask, [&](clients::HttpRequest& request) {
               request.timeout = kListTimeout;
               request.stop = &stop;
             }));
  SLUICE_CHECK(check_listing(answer, title_));
  SLUICE_CHECK(check(answer));
  auto read = read_listing(answer.body);
  if (!read) return Failure(named(std::move(read).error(), title_));
  return read;
}

Result<std::vector<Object>> Bucket::list_pages(const std::string& prefix, Depth depth,
                                               const std::atomic<bool>& stop, std::size_t most) {
  std::vector<Object> out;
  std::string token;
  std::size_t seen = 0;
  const auto wanted = prefix_ + prefix;
  // Not every store heeds a delimiter.
  const auto is_wanted = [&](const std::string& key) {
    return key.starts_with(wanted) &&
           (depth == Depth::kAll || key.find('/', wanted.size()) == std::string::npos);
  };
  do {
    SLUICE_TRY(auto found, with_retries(stop, [&] { return page(wanted, depth, token, stop); }));
    seen += found.objects.size() + found.folders;
    for (auto& object : found.objects) {
      // A key that ends with a slash is what some tools make for a directory.
      if (!is_wanted(object.key) || object.key.ends_with('/')) continue;
      object.key.erase(0, prefix_.size());
      out.push_back(std::move(object));
    }
    if (seen > most) {
      return fail(Code::kResourceExhausted, "too_many",
                  title_ + " has more than " + std::to_string(most) +
                      " objects below this prefix; name one that holds fewer");
    }
    if (!found.next.empty() && found.next == token) {
      return unavailable("not_a_store", title_ + " lists the same page again and again");
    }
    token = std::move(found.next);
  } while (!token.empty());
  return out;
}

Result<std::vector<Object>> Bucket::list(const std::atomic<bool>& stop) {
  if (!file_.empty()) return list_for_file(stop);
  SLUICE_TRY(auto out, list_below("", stop));
  if (out.empty()) SLUICE_CHECK(check_folder(stop));
  return out;
}

// Nothing lies below it: is it a file, of a kind that nobody knows? Asked once, and believed only
// where the store says yes.
Result<void> Bucket::check_folder(const std::atomic<bool>& stop) {
  if (no_folder_.empty() || std::exchange(sought_file_, true)) return {};
  Ask ask{"HEAD", prefix_.substr(0, prefix_.size() - 1), {}, {}, ""};
  const auto answer = send(ask, [&](clients::HttpRequest& request) {
    request.timeout = kListTimeout;
    request.stop = &stop;
  });
  // An empty one stands for the folder, as some tools make it.
  const auto* length = answer ? clients::find_header(answer->headers, "Content-Length") : nullptr;
  const bool file = length != nullptr && answer->status == 200 && *length != "0";
  if (!file) return {};
  return invalid("unknown_format", no_folder_);
}

Result<std::vector<Object>> Bucket::list_below(const std::string& prefix,
                                               const std::atomic<bool>& stop) {
  return list_pages(prefix, Depth::kAll, stop);
}

Result<Fetched> Bucket::fetch(const Object& object, Range range, const ByteSink& sink,
                              const std::atomic<bool>& stop) {
  SLUICE_TRY(
      auto request,
      prepare({"GET", prefix_ + object.key, {}, range_headers(object, range), ""}, *address()));
  request.stop = &stop;
  const StatusCheck status = [this](const clients::HttpAnswer& answer) { return check(answer); };
  SLUICE_TRY(const auto answer, fetch_range(client_, std::move(request), object, range, title_,
                                            sink, nullptr, status));
  return Fetched{etag_counts(answer.headers)};
}

Details Bucket::details(const Object& object, const std::atomic<bool>& stop) {
  auto headers = range_headers(object, {});
  headers.emplace_back(kChecksumMode);
  Details out;
  if (auto request =
          prepare({"HEAD", prefix_ + object.key, {}, std::move(headers), ""}, *address())) {
    request->timeout = kListTimeout;
    request->stop = &stop;
    const auto answer = client_.send(*request);
    if (answer && answer->status == 200) out.checksum = checksum_of(answer->headers);
  }
  if (parts_of_etag(object.etag) > 0) out.part_size = part_size(object, stop);
  return out;
}

// HEAD of part 1, where the store knows parts.
std::uint64_t Bucket::part_size(const Object& object, const std::atomic<bool>& stop) const {
  auto request = prepare({"HEAD", prefix_ + object.key, {{"partNumber", "1"}}, {}, ""}, *address());
  if (!request) return 0;
  request->timeout = kListTimeout;
  request->stop = &stop;
  const auto answer = client_.send(*request);
  if (!answer || answer->status != 206) return 0;
  const auto* count = clients::find_header(answer->headers, "x-amz-mp-parts-count");
  const auto* length = clients::find_header(answer->headers, "Content-Length");
  if (count == nullptr || length == nullptr) return 0;
  return parse_uint(*length).value_or(0);
}

bool etag_counts(const clients::HttpHeaders& headers) {
  const auto* encryption = clients::find_header(headers, "x-amz-server-side-encryption");
  const auto* by_client =
      clients::find_header(headers, "x-amz-server-side-encryption-customer-algorithm");
  return by_client == nullptr && (encryption == nullptr || !encryption->starts_with("aws:kms"));
}

std::unique_ptr<WritableStore> make_bucket(BucketPlace place, Authorize authorize,
                                           OnRegion on_region) {
  return std::make_unique<Bucket>(std::move(place), std::move(authorize), std::move(on_region));
}

Result<BucketPath> split_bucket(std::string_view text, std::string_view scheme) {
  const auto slash = text.find('/');
  const auto bucket = text.substr(0, slash);
  if (bucket.empty() || bucket.find_first_of("?#@:%") != std::string_view::npos) {
    return invalid("bad_url", "the URL names no bucket; write " + std::string(scheme) +
                                  "://bucket or " + std::string(scheme) + "://bucket/prefix");
  }
  auto path = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return BucketPath{std::string(bucket), std::string(path)};
}

Located locate(BucketAccess access, const Layout& layout) {
  auto split = split_file(access.path.path, layout);
  access.place.prefix = split.root.empty() ? "" : split.root + "/";
  access.place.file = split.file;
  if (const auto known = layout.check_file(split.name); !known && !split.root.empty()) {
    access.place.no_folder = known.error().message;
  }
  auto identity = access.identity + access.place.prefix;
  auto store = make_bucket(std::move(access.place), std::move(access.authorize),
                           std::move(access.on_region));
  return Located{std::move(store), split.name.empty() ? access.path.bucket : split.name, split.file,
                 std::move(identity)};
}

bool is_bucket_url(std::string_view text) {
  return iequals(text.substr(0, 5), "s3://") || iequals(text.substr(0, 5), "gs://");
}

Result<OpenBucket> open_bucket(std::string_view url, bool writes) {
  const auto scope = writes ? GoogleScope::kWrite : GoogleScope::kRead;
  SLUICE_TRY(auto access, iequals(url.substr(0, 5), "gs://")
                              ? access_gcs(url, process_environment, scope)
                              : access_s3(url, process_environment));
  auto store = make_bucket(std::move(access.place), std::move(access.authorize),
                           std::move(access.on_region));
  return OpenBucket{std::move(store), std::move(access.path.path), std::move(access.identity)};
}

std::string host_header(const clients::Url& url) {
  const std::string usual = url.scheme == "https" ? ":443" : ":80";
  auto out = url.authority;
  if (out.ends_with(usual)) out.resize(out.size() - usual.size());
  return out;
}

}  // namespace sluice::sources
