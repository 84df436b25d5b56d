#include "sources/google_credentials.h"

#include <algorithm>
#include <filesystem>

#include "base/base64.h"
#include "base/digest.h"
#include "base/file.h"
#include "sources/json_fields.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::string_view kRead = "https://www.googleapis.com/auth/devstorage.read_only";
constexpr std::string_view kReadWrite = "https://www.googleapis.com/auth/devstorage.read_write";
constexpr std::string_view kTokens = "Google's token service";
constexpr auto kExpired =
    "the token for Google's store has expired, and nothing gives another; check that the machine's "
    "metadata server answers and that the machine still has its service account";

std::string base64url(std::string_view bytes) {
  auto out = encode_base64(bytes);
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  while (out.ends_with('=')) out.pop_back();
  return out;
}

clients::HttpRequest quick(std::string url) {
  clients::HttpRequest out;
  out.url = std::move(url);
  out.timeout = std::chrono::seconds(15);
  out.max_body = 1 << 20;
  return out;
}

// It says 400 and `invalid_grant` where it refuses: the key was withdrawn, the clock is wrong.
Result<clients::HttpAnswer> ask_for_token(const clients::HttpClient& client,
                                          const clients::HttpRequest& request) {
  auto answer = client.send(request);
  if (!answer) return Failure(unanswered(std::move(answer).error(), kTokens, request.url));
  if (answer->status == 400) {
    return fail(Code::kPermissionDenied, "refused",
                std::string(kTokens) +
                    " refuses the credentials; check that the key or the login is still valid, and "
                    "the machine's clock");
  }
  SLUICE_CHECK(check_document(*answer, kTokens));
  return answer;
}

}  // namespace

Result<std::string> service_account_assertion(const std::string& email, const std::string& key,
                                              const std::string& audience, std::int64_t now,
                                              GoogleScope scope) {
  const json head = {{"alg", "RS256"}, {"typ", "JWT"}};
  const json claims = {{"iss", email},
                       {"scope", scope == GoogleScope::kWrite ? kReadWrite : kRead},
                       {"aud", audience},
                       {"iat", now},
                       {"exp", now + 3600}};
  auto text = base64url(head.dump()) + "." + base64url(claims.dump());
  const auto signature = sign_rs256(key, text);
  if (!signature) {
    return invalid("bad_credentials", "the service account's file has no RSA key that can be used");
  }
  return text + "." + base64url(*signature);
}

GoogleToken::GoogleToken(Environment environment, GoogleScope scope)
    : environment_(std::move(environment)), scope_(scope), held_(kExpired) {}

std::optional<std::chrono::nanoseconds> GoogleToken::Token::left() const {
  if (!until) return std::nullopt;
  return *until - steady_clock::now();
}

GoogleToken::Found GoogleToken::exchange(const std::string& url, const std::string& form) const {
  auto request = quick(url);
  request.method = "POST";
  request.body = form;
  request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
  SLUICE_TRY(const auto answer, ask_for_token(client_, request));
  const auto parsed = json::parse(answer.body, nullptr, false);
  const auto token = text_of(parsed, "access_token");
  if (token.empty()) return unavailable("bad_credentials", std::string(kTokens) + " gave no token");
  const auto lifetime = static_cast<std::int64_t>(
      std::min<std::uint64_t>(number_of(parsed, "expires_in", 3600), 86'400));
  return Token{token, steady_clock::now() + std::chrono::seconds(lifetime)};
}

GoogleToken::Found GoogleToken::from_file(const std::string& path) const {
  SLUICE_TRY(const auto text, read_text(path, kMaxFile, "Google's credentials file"));
  const auto file = json::parse(text, nullptr, false);
  if (!file.is_object()) {
    return invalid("bad_credentials",
                   "Google's credentials file is empty or not JSON; expected the file of a service "
                   "account's key or of a user's login");
  }
  const auto type = text_of(file, "type");
  auto url = text_of(file, "token_uri");
  if (url.empty()) url = "https://oauth2.googleapis.com/token";
  const auto encode = [](const std::string& part) { return clients::percent_encode(part, false); };
  if (type == "service_account") {
    SLUICE_TRY(const auto assertion, service_account_assertion(text_of(file, "client_email"),
                                                               text_of(file, "private_key"), url,
                                                               std::time(nullptr), scope_));
    return exchange(url, "grant_type=" + encode("urn:ietf:params:oauth:grant-type:jwt-bearer") +
                             "&assertion=" + assertion);
  }
  if (type == "authorized_user") {
    return exchange(url,
                    "grant_type=refresh_token&client_id=" + encode(text_of(file, "client_id")) +
                        "&client_secret=" + encode(text_of(file, "client_secret")) +
                        "&refresh_token=" + encode(text_of(file, "refresh_token")));
  }
  return invalid("bad_credentials",
                 "Google's credentials file is of another type than service_account and "
                 "authorized_user, which can be used here");
}

GoogleToken::Found GoogleToken::from_machine() const {
  const auto host = environment_("GCE_METADATA_HOST").value_or("metadata.google.internal");
  auto request =
      quick("http://" + host + "/computeMetadata/v1/instance/service-accounts/default/token");
  request.connect_timeout = std::chrono::seconds(1);
  request.timeout = std::chrono::seconds(5);
  request.headers.emplace_back("Metadata-Flavor", "Google");
  SLUICE_TRY(const auto answer, ask_machine(client_, request, "Google's metadata server"));
  if (!answer) return std::nullopt;
  const auto parsed = json::parse(*answer, nullptr, false);
  const auto token = text_of(parsed, "access_token");
  if (token.empty()) return std::nullopt;
  return Token{token,
               steady_clock::now() + std::chrono::seconds(number_of(parsed, "expires_in", 600))};
}

GoogleToken::Found GoogleToken::look() const {
  SLUICE_TRY(const auto token, secret_of(environment_, "GOOGLE_OAUTH_ACCESS_TOKEN"));
  if (token) return Token{*token, std::nullopt};
  if (const auto path = environment_("GOOGLE_APPLICATION_CREDENTIALS")) return from_file(*path);
  const auto own =
      environment_("HOME").value_or("") + "/.config/gcloud/application_default_credentials.json";
  std::error_code ignored;
  if (std::filesystem::exists(own, ignored)) return from_file(own);
  return from_machine();
}

Result<std::optional<std::string>> GoogleToken::get() {
  SLUICE_TRY(auto token, held_.get([this] { return look(); }));
  if (!token) return std::nullopt;
  return std::move(token->text);
}

}  // namespace sluice::sources
