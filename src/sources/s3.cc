// s3://bucket/prefix

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>

#include "sources/aws_credentials.h"
#include "sources/bucket.h"
#include "sources/store_http.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kTitle = "the S3 bucket";

// An answer's region becomes a part of a host's name, and what is signed goes there: it must not be
// able to name another host than Amazon's.
bool is_region(const std::string& text) {
  constexpr std::size_t kLongest = 63;  // of a name's part
  return !text.empty() && text.size() <= kLongest && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

// Old buckets may have names that no host has: My_Bucket, a.b.
bool is_host_label(const std::string& text) {
  constexpr std::size_t kLongest = 63;
  return text.size() <= kLongest && text.front() != '-' && text.back() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

// Signs with whatever credentials are valid now, or not at all where there are none.
class Signer {
 public:
  explicit Signer(const Environment& environment) : chain_(environment), region_(chain_.region()) {
    if (region_.empty()) region_ = "us-east-1";
  }

  Result<void> sign(const ToSign& request, clients::HttpHeaders& headers) {
    SLUICE_TRY(const auto credentials, chain_.get());
    if (!credentials) return {};
    const SigningKey key{credentials->access_key, credentials->secret_key,
                         credentials->session_token, region(), "s3"};
    for (auto& header : sign_v4(request, key, std::time(nullptr))) {
      headers.push_back(std::move(header));
    }
    return {};
  }

  // False: it signs for that region already.
  bool move_to(const std::string& region) {
    const std::lock_guard lock(mutex_);
    if (region == region_) return false;
    region_ = region;
    return true;
  }

  std::string region() {
    const std::lock_guard lock(mutex_);
    return region_;
  }

  const AwsCredentialChain& chain() const { return chain_; }

 private:
  AwsCredentialChain chain_;
  std::mutex mutex_;
  std::string region_;  // guarded by mutex_
};

// The bucket's name is a part of the host only at Amazon's, and only where TLS knows such a name.
// An endpoint of one's own is the same in all regions.
Result<BucketAddress> address_of(const std::string& bucket, const std::string& endpoint,
                                 const std::string& region) {
  BucketAddress out;
  if (!endpoint.empty()) {
    SLUICE_TRY(const auto url,
               url_of_variable("AWS_ENDPOINT_URL (or the profile's endpoint_url)", endpoint));
    out.origin = url.origin();
    out.host = host_header(url);
    out.path = (url.path == "/" ? "" : url.path) + "/" + bucket;
    return out;
  }
  const auto amazon = amazon_host("s3", region);
  const bool in_path = !is_host_label(bucket);
  out.host = in_path ? amazon : bucket + "." + amazon;
  out.origin = "https://" + out.host;
  if (in_path) out.path = "/" + bucket;
  return out;
}

// Of a bucket that is said to be in another region.
std::optional<BucketAddress> moved(Signer& signer, const std::string& bucket,
                                   const std::string& region) {
  if (!is_region(region) || !signer.move_to(region)) return std::nullopt;
  auto address = address_of(bucket, signer.chain().endpoint(), region);
  if (!address) return std::nullopt;
  return *std::move(address);
}

}  // namespace

Result<BucketAccess> access_s3(std::string_view url, const Environment& environment) {
  constexpr std::string_view kScheme = "s3://";
  SLUICE_TRY(auto path, split_bucket(url.substr(kScheme.size()), "s3"));
  const auto signer = std::make_shared<Signer>(environment);
  SLUICE_TRY(auto address, address_of(path.bucket, signer->chain().endpoint(), signer->region()));
  BucketAccess out;
  // Of where it is asked first: its place in the cache stays, wherever the bucket turns out to be.
  out.identity = "s3 " + address.origin + address.path + "/";
  out.place.title = kTitle;
  out.place.address = std::move(address);
  out.place.not_signed = signer->chain().nothing_found();
  out.path = std::move(path);
  out.authorize = [signer](const ToSign& request, clients::HttpHeaders& headers) {
    return signer->sign(request, headers);
  };
  out.on_region = [signer, bucket = out.path.bucket](const std::string& region) {
    return moved(*signer, bucket, region);
  };
  return out;
}

Result<Located> open_s3(std::string_view url, const Layout& layout,
                        const Environment& environment) {
  SLUICE_TRY(auto access, access_s3(url, environment));
  return locate(std::move(access), layout);
}

}  // namespace sluice::sources
