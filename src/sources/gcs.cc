// gs://bucket/prefix, by Google's XML interface, which is S3's: with a bearer token, or with an
// HMAC key (GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY) and Amazon's signatures.

#include <memory>

#include "sources/bucket.h"
#include "sources/google_credentials.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

struct Key {
  std::string access;
  std::string secret;
};

Authorize sign_with(const Key& key) {
  return [key](const ToSign& request, clients::HttpHeaders& headers) -> Result<void> {
    const SigningKey signing{key.access, key.secret, "", "auto", "s3"};
    for (auto& header : sign_v4(request, signing, std::time(nullptr))) {
      headers.push_back(std::move(header));
    }
    return {};
  };
}

Authorize bear_token(const Environment& environment) {
  const auto token = std::make_shared<GoogleToken>(environment);
  return [token](const ToSign&, clients::HttpHeaders& headers) -> Result<void> {
    SLUICE_TRY(const auto text, token->get());
    if (text) headers.emplace_back("Authorization", "Bearer " + *text);
    return {};
  };
}

}  // namespace

Result<Located> open_gcs(std::string_view url, const Layout& layout,
                         const Environment& environment) {
  constexpr std::string_view kScheme = "gs://";
  SLUICE_TRY(const auto path, split_bucket(url.substr(kScheme.size()), "gs"));
  // Google's own clients ask an emulator by this variable; they allow it to have no scheme.
  auto endpoint = environment("STORAGE_EMULATOR_HOST").value_or("https://storage.googleapis.com");
  if (endpoint.find("://") == std::string::npos) endpoint = "http://" + endpoint;
  SLUICE_TRY(const auto origin, clients::parse_http_url(endpoint));
  auto split = split_file(path.path, layout);
  BucketPlace place;
  place.title = "the Google bucket";
  place.origin = origin.origin();
  place.host = host_header(origin);
  place.path = "/" + path.bucket;
  place.prefix = split.root.empty() ? "" : split.root + "/";
  auto identity = "gs " + place.origin + place.path + "/" + place.prefix;
  const Key key{environment("GS_ACCESS_KEY_ID").value_or(""),
                environment("GS_SECRET_ACCESS_KEY").value_or("")};
  if (key.access.empty() != key.secret.empty()) {
    return invalid("bad_credentials",
                   "GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY belong together; one of them is not "
                   "set");
  }
  auto store =
      make_bucket(std::move(place), key.access.empty() ? bear_token(environment) : sign_with(key));
  return Located{std::move(store), split.name.empty() ? path.bucket : split.name, split.file,
                 std::move(identity)};
}

}  // namespace sluice::sources
