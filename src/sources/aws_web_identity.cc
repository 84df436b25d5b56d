#include "sources/aws_web_identity.h"

#include <pugixml.hpp>

#include "base/file.h"
#include "base/text.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kMaxToken = 1 << 20;
constexpr std::string_view kTitle = "AWS's token service (STS)";

std::string form(std::initializer_list<std::pair<std::string_view, std::string>> fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += std::string(name) + '=' + clients::percent_encode(value, false);
  }
  return out;
}

// Its own texts may have others' names in them: only its words for what is wrong are heeded.
std::string advice(std::string_view body) {
  pugi::xml_document document;
  document.load_buffer(body.data(), body.size());
  const std::string_view word = document.child("ErrorResponse").child("Error").child_value("Code");
  if (word == "ExpiredTokenException") {
    return "the token in AWS_WEB_IDENTITY_TOKEN_FILE has expired; check that it is still renewed";
  }
  if (word == "AccessDenied") {
    return "the role does not trust this token; check AWS_ROLE_ARN and the role's trust policy";
  }
  if (word == "InvalidIdentityToken" || word == "IDPRejectedClaim") {
    return "it does not accept the token in AWS_WEB_IDENTITY_TOKEN_FILE; check that its issuer is "
           "an identity provider of the role's account";
  }
  if (word == "ValidationError" || word == "MalformedPolicyDocument") {
    return "AWS_ROLE_ARN is not the ARN of a role, or AWS_ROLE_SESSION_NAME no name";
  }
  return "check AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE";
}

}  // namespace

Result<AwsCredentials> read_assumed_role(std::string_view xml) {
  pugi::xml_document document;
  document.load_buffer(xml.data(), xml.size());
  const auto found = document.child("AssumeRoleWithWebIdentityResponse")
                         .child("AssumeRoleWithWebIdentityResult")
                         .child("Credentials");
  AwsCredentials out{found.child_value("AccessKeyId"), found.child_value("SecretAccessKey"),
                     found.child_value("SessionToken"), parse_utc(found.child_value("Expiration"))};
  if (out.access_key.empty() || out.secret_key.empty()) {
    return unavailable("bad_credentials",
                       std::string(kTitle) + " answered with something else than credentials");
  }
  return out;
}

Result<AwsCredentials> assume_role(const clients::HttpClient& client, const WebIdentity& identity) {
  const auto token = read_text(identity.token_file, kMaxToken, "it");
  if (!token) {
    return invalid("bad_credentials",
                   "AWS_WEB_IDENTITY_TOKEN_FILE names a file that is not there or cannot be read");
  }
  clients::HttpRequest request;
  request.method = "POST";
  request.url = identity.endpoint;
  request.headers = {{"Content-Type", "application/x-www-form-urlencoded"}};
  request.body = form({{"Action", "AssumeRoleWithWebIdentity"},
                       {"Version", "2011-06-15"},
                       {"RoleArn", identity.role},
                       {"RoleSessionName", identity.session},
                       {"WebIdentityToken", token->substr(0, token->find_first_of("\r\n"))}});
  request.timeout = std::chrono::seconds(15);
  request.max_body = 1 << 20;
  auto answer = client.send(request);
  if (!answer) return Failure(unanswered(std::move(answer).error(), kTitle, request.url));
  const bool refused = answer->status / 100 == 4 && answer->status != 408 && answer->status != 429;
  if (refused) {
    return fail(Code::kPermissionDenied, "bad_credentials",
                std::string(kTitle) + " gives no credentials (" + std::to_string(answer->status) +
                    "): " + advice(answer->body));
  }
  SLUICE_CHECK(check_status(*answer, kTitle));
  return read_assumed_role(answer->body);
}

}  // namespace sluice::sources
