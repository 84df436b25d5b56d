// gs://bucket/prefix, by Google's XML interface, which is S3's: with a bearer token, or with an
// HMAC key (GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY) and Amazon's signatures.

#include <memory>

#include "sources/bucket.h"
#include "sources/google_credentials.h"
#include "sources/store_http.h"
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

// Google unzips what was stored with `Content-Encoding: gzip` for whoever does not say that he can:
// then neither size nor digest are what its listing says. What is stored is what is wanted. A
// listing would come zipped.
Authorize as_stored(Authorize authorize) {
  return [authorize = std::move(authorize)](const ToSign& request, clients::HttpHeaders& headers) {
    if (request.query.empty()) headers.emplace_back("Accept-Encoding", "gzip");
    return authorize(request, headers);
  };
}

Authorize bear_token(const Environment& environment, GoogleScope scope) {
  const auto token = std::make_shared<GoogleToken>(environment, scope);
  return [token](const ToSign&, clients::HttpHeaders& headers) -> Result<void> {
    SLUICE_TRY(const auto text, token->get());
    if (text) headers.emplace_back("Authorization", "Bearer " + *text);
    return {};
  };
}

}  // namespace

Result<BucketAccess> access_gcs(std::string_view url, const Environment& environment,
                                GoogleScope scope) {
  constexpr std::string_view kScheme = "gs://";
  SLUICE_TRY(auto path, split_bucket(url.substr(kScheme.size()), "gs"));
  // Google's own clients ask an emulator by this variable; they allow it to have no scheme.
  auto endpoint = environment("STORAGE_EMULATOR_HOST").value_or("https://storage.googleapis.com");
  if (endpoint.find("://") == std::string::npos) endpoint = "http://" + endpoint;
  SLUICE_TRY(const auto origin, url_of_variable("STORAGE_EMULATOR_HOST", endpoint));
  BucketAccess out;
  out.place.title = "the Google bucket";
  out.place.address = {origin.origin(), host_header(origin), "/" + path.bucket};
  out.identity = "gs " + out.place.address.origin + out.place.address.path + "/";
  out.path = std::move(path);
  SLUICE_TRY(const auto access_key, secret_of(environment, "GS_ACCESS_KEY_ID"));
  SLUICE_TRY(const auto secret_key, secret_of(environment, "GS_SECRET_ACCESS_KEY"));
  const Key key{access_key.value_or(""), secret_key.value_or("")};
  if (key.access.empty() != key.secret.empty()) {
    return invalid("bad_credentials",
                   "GS_ACCESS_KEY_ID and GS_SECRET_ACCESS_KEY belong together; one of them is not "
                   "set");
  }
  out.authorize = as_stored(key.access.empty() ? bear_token(environment, scope) : sign_with(key));
  return out;
}

Result<Located> open_gcs(std::string_view url, const Layout& layout,
                         const Environment& environment) {
  SLUICE_TRY(auto access, access_gcs(url, environment, GoogleScope::kRead));
  return locate(std::move(access), layout);
}

}  // namespace sluice::sources
