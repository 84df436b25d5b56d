// s3://bucket/prefix

#include <memory>
#include <mutex>

#include "sources/aws_credentials.h"
#include "sources/bucket.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

constexpr std::string_view kTitle = "the S3 bucket";

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
Result<BucketPlace> place_of(const std::string& bucket, const std::string& endpoint,
                             const std::string& region) {
  BucketPlace out;
  out.title = kTitle;
  if (!endpoint.empty()) {
    SLUICE_TRY(const auto url, clients::parse_http_url(endpoint));
    out.origin = url.origin();
    out.host = host_header(url);
    out.path = (url.path == "/" ? "" : url.path) + "/" + bucket;
    return out;
  }
  const auto amazon = "s3." + region + ".amazonaws.com";
  const bool in_path = bucket.find('.') != std::string::npos;
  out.host = in_path ? amazon : bucket + "." + amazon;
  out.origin = "https://" + out.host;
  if (in_path) out.path = "/" + bucket;
  return out;
}

}  // namespace

Result<BucketAccess> access_s3(std::string_view url, const Environment& environment) {
  constexpr std::string_view kScheme = "s3://";
  SLUICE_TRY(auto path, split_bucket(url.substr(kScheme.size()), "s3"));
  const auto signer = std::make_shared<Signer>(environment);
  const auto endpoint = signer->chain().endpoint();
  SLUICE_TRY(auto place, place_of(path.bucket, endpoint, signer->region()));
  BucketAccess out;
  out.identity = "s3 " + place.origin + place.path + "/";
  out.place = std::move(place);
  out.path = std::move(path);
  out.authorize = [signer](const ToSign& request, clients::HttpHeaders& headers) {
    return signer->sign(request, headers);
  };
  out.on_region = [signer](const std::string& region) { return signer->move_to(region); };
  return out;
}

Result<Located> open_s3(std::string_view url, const Layout& layout,
                        const Environment& environment) {
  SLUICE_TRY(auto access, access_s3(url, environment));
  return locate(std::move(access), layout);
}

}  // namespace sluice::sources
