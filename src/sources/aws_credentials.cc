#include "sources/aws_credentials.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "sources/aws_web_identity.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

using nlohmann::json;
using std::chrono::system_clock;

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::string_view kContainer =
    "the container's credentials (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI)";
constexpr std::string_view kMachine = "the machine's credentials";
constexpr std::string_view kService = "the machine's metadata service";
constexpr auto kExpired =
    "the temporary credentials have expired, and the machine's metadata service gives no new "
    "ones; check that it answers and that the machine still has its role";
// What a profile may have instead of keys, and other tools understand.
constexpr std::array<const char*, 5> kOtherWays = {"role_arn", "sso_session", "sso_start_url",
                                                   "credential_process", "login_session"};

// As containers and machines answer.
Result<std::optional<AwsCredentials>> read_json(const std::string& text, std::string_view what) {
  const auto parsed = json::parse(text, nullptr, false);
  const auto field = [&](const char* name) {
    return parsed.is_object() && parsed.contains(name) && parsed[name].is_string()
               ? parsed[name].get<std::string>()
               : std::string();
  };
  AwsCredentials out{field("AccessKeyId"), field("SecretAccessKey"), field("Token"),
                     parse_utc(field("Expiration"))};
  if (out.access_key.empty() || out.secret_key.empty()) {
    return unavailable("bad_credentials", std::string(what) + " are not in the form expected");
  }
  return out;
}

// Plain HTTP would show the token to the network: only this machine and AWS's own addresses.
bool is_local_endpoint(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1" ||
         host == "169.254.170.2" || host == "169.254.170.23" || host == "fd00:ec2::23";
}

bool machine_is_off(const Environment& environment) {
  return iequals(environment("AWS_EC2_METADATA_DISABLED").value_or(""), "true");
}

clients::HttpRequest quick(std::string url) {
  clients::HttpRequest out;
  out.url = std::move(url);
  out.connect_timeout = std::chrono::seconds(1);
  out.timeout = std::chrono::seconds(5);
  out.max_body = 1 << 20;
  return out;
}

}  // namespace

std::optional<system_clock::time_point> parse_utc(std::string_view text) {
  std::tm time{};
  const std::string copy(text);
  const char* end = ::strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &time);
  if (end == nullptr) return std::nullopt;
  // The years 1 and 9999, which mean never to some, are more than the clock can count.
  constexpr auto kLast = system_clock::time_point::max();
  const auto seconds = std::max<std::time_t>(::timegm(&time), 0);
  return seconds < system_clock::to_time_t(kLast) ? system_clock::from_time_t(seconds) : kLast;
}

std::optional<std::chrono::nanoseconds> AwsCredentials::left() const {
  if (!expires) return std::nullopt;
  return *expires - system_clock::now();
}

std::string amazon_host(std::string_view service, std::string_view region) {
  const bool china = region.starts_with("cn-");
  return std::string(service) + "." + std::string(region) + ".amazonaws.com" + (china ? ".cn" : "");
}

AwsCredentialChain::AwsCredentialChain(Environment environment)
    : environment_(std::move(environment)),
      profile_(AwsProfile::read(environment_)),
      held_(kExpired),
      stamp_(aws_files_stamp(environment_)) {}

AwsCredentialChain::Found AwsCredentialChain::get() {
  {
    // Keys are rotated by writing the files anew.
    const std::lock_guard lock(mutex_);
    auto stamp = aws_files_stamp(environment_);
    if (stamp != std::exchange(stamp_, stamp)) held_.renew();
  }
  return held_.get([this] { return look(); });
}

std::string AwsCredentialChain::region() const {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    // Becomes a part of hosts' names and of the head; what is wrong in it the store says.
    const auto value = secret_of(environment_, name);
    if (value && *value) return **value;
  }
  return profile_.setting("region");
}

std::string AwsCredentialChain::endpoint() const {
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
    if (auto value = environment_(name)) return *value;
  }
  return profile_.setting("endpoint_url");
}

AwsCredentialChain::Found AwsCredentialChain::from_environment() const {
  SLUICE_TRY(const auto access, secret_of(environment_, "AWS_ACCESS_KEY_ID"));
  SLUICE_TRY(const auto secret, secret_of(environment_, "AWS_SECRET_ACCESS_KEY"));
  SLUICE_TRY(const auto token, secret_of(environment_, "AWS_SESSION_TOKEN"));
  if (!access && !secret) return std::nullopt;
  if (!access || !secret) {
    return invalid("bad_credentials",
                   "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together; one of them is "
                   "not set");
  }
  return AwsCredentials{*access, *secret, token.value_or(""), {}};
}

AwsCredentialChain::Found AwsCredentialChain::from_web_identity(const std::string& role,
                                                                const std::string& file,
                                                                const std::string& session) const {
  if (role.empty() || file.empty()) {
    return invalid("bad_credentials",
                   "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN belong together; one of them is "
                   "not set");
  }
  // As the SDKs: one variable for all services, and one for each.
  auto endpoint = environment_("AWS_ENDPOINT_URL_STS");
  if (!endpoint) endpoint = environment_("AWS_ENDPOINT_URL");
  auto where = region();
  if (where.empty()) where = "us-east-1";
  WebIdentity identity{endpoint.value_or("https://" + amazon_host("sts", where)), role,
                       session.empty() ? "sluice" : session, file};
  if (identity.endpoint.find('/', identity.endpoint.find("://") + 3) == std::string::npos) {
    identity.endpoint += '/';
  }
  SLUICE_TRY(auto found, assume_role(client_, identity));
  return found;
}

AwsCredentialChain::Found AwsCredentialChain::from_variables_of_web_identity() const {
  const auto file = environment_("AWS_WEB_IDENTITY_TOKEN_FILE");
  // A role alone is of other tools, which take it on with keys.
  if (!file) return std::nullopt;
  return from_web_identity(environment_("AWS_ROLE_ARN").value_or(""), *file,
                           environment_("AWS_ROLE_SESSION_NAME").value_or(""));
}

AwsCredentialChain::Found AwsCredentialChain::from_files() const {
  const auto profile = AwsProfile::read(environment_);
  SLUICE_CHECK(profile.check());
  const auto named = "the profile '" + printable(profile.name()) + "'";
  if (const auto file = profile.setting("web_identity_token_file"); !file.empty()) {
    return from_web_identity(profile.setting("role_arn"), file,
                             profile.setting("role_session_name"));
  }
  const auto access = profile.setting("aws_access_key_id");
  const auto secret = profile.setting("aws_secret_access_key");
  const bool has_keys = !access.empty() && !secret.empty();
  for (const std::string way : kOtherWays) {
    // Keys beside a role are those that take it on: another's. Beside the others they are theirs.
    if (profile.setting(way).empty() || (has_keys && way != "role_arn")) continue;
    return invalid("bad_credentials",
                   named + " has " + way +
                       ", which Sluice cannot use; give it keys: those that `aws configure "
                       "export-credentials --format env --profile " +
                       printable(profile.name()) +
                       "` prints, or AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN");
  }
  if (has_keys) return AwsCredentials{access, secret, profile.setting("aws_session_token"), {}};
  if (access.empty() && secret.empty()) return std::nullopt;
  return invalid("bad_credentials", named +
                                        " has aws_access_key_id or aws_secret_access_key, but "
                                        "not both; they belong together");
}

AwsCredentialChain::Found AwsCredentialChain::from_container() const {
  const auto relative = environment_("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const auto full = environment_("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (!relative && !full) return std::nullopt;
  auto request = quick(relative ? "http://169.254.170.2" + *relative : *full);
  SLUICE_TRY(const auto url, url_of_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI", request.url));
  if (url.scheme == "http" && !is_local_endpoint(url.host)) {
    return invalid("bad_credentials",
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine");
  }
  SLUICE_TRY(const auto given, secret_of(environment_, "AWS_CONTAINER_AUTHORIZATION_TOKEN"));
  auto token = given.value_or("");
  if (const auto file = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    SLUICE_TRY(token,
               read_text(*file, kMaxFile,
                         "the container's token file (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)"));
    token = trim(token.substr(0, token.find_first_of("\r\n")));
  }
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  SLUICE_TRY(const auto answer, fetch_document(client_, request, kContainer));
  return read_json(answer.body, kContainer);
}

// Most machines have no such address: what does not answer at once is not there.
AwsCredentialChain::Found AwsCredentialChain::from_machine() const {
  if (machine_is_off(environment_)) return std::nullopt;
  const auto base =
      environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or("http://169.254.169.254");
  auto request = quick(base + "/latest/api/token");
  request.method = "PUT";
  request.headers.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  SLUICE_TRY(const auto token, ask_machine(client_, request, kService));
  if (!token) return std::nullopt;
  auto next = quick(base + "/latest/meta-data/iam/security-credentials/");
  next.headers.emplace_back("X-aws-ec2-metadata-token", std::string(trim(*token)));
  SLUICE_TRY(const auto roles, ask_machine(client_, next, kService));
  if (!roles) return std::nullopt;
  next.url += clients::percent_encode(roles->substr(0, roles->find('\n')), false);
  SLUICE_TRY(const auto answer, fetch_document(client_, next, kService));
  return read_json(answer.body, kMachine);
}

AwsCredentialChain::Found AwsCredentialChain::look() const {
  using Step = Found (AwsCredentialChain::*)() const;
  for (const Step step :
       {&AwsCredentialChain::from_environment, &AwsCredentialChain::from_variables_of_web_identity,
        &AwsCredentialChain::from_files, &AwsCredentialChain::from_container,
        &AwsCredentialChain::from_machine}) {
    SLUICE_TRY(auto found, (this->*step)());
    if (found) return found;
  }
  return std::nullopt;
}

std::string AwsCredentialChain::nothing_found() const {
  std::vector<std::string> places = {
      "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE",
      "the profile '" + printable(profile_.name()) + "' of AWS's credentials and config files",
      "the container's variables"};
  if (!machine_is_off(environment_)) places.emplace_back("the machine's metadata service");
  return "the request was not signed, because no credentials were found in " + join_and(places) +
         (machine_is_off(environment_)
              ? "; the machine's were not asked for (AWS_EC2_METADATA_DISABLED)"
              : "");
}

}  // namespace sluice::sources
