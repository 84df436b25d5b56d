#include "sources/aws_credentials.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

using nlohmann::json;
using std::chrono::system_clock;

constexpr std::size_t kMaxFile = 1 << 20;
constexpr std::string_view kContainer = "the container's credentials";
constexpr std::string_view kMachine = "the machine's credentials";
constexpr auto kExpired =
    "the temporary credentials have expired, and the machine's metadata service gives no new "
    "ones; check that it answers and that the machine still has its role";

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

std::string read_if_there(const std::string& path) {
  return read_text(path, kMaxFile, "the credentials file").value_or("");
}

// Plain HTTP would show the token to the network: only this machine and AWS's own addresses.
bool is_local_endpoint(const std::string& host) {
  return host == "localhost" || host.starts_with("127.") || host == "::1" ||
         host == "169.254.170.2" || host == "169.254.170.23" || host == "fd00:ec2::23";
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

std::optional<std::string> process_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

IniFile read_ini(std::string_view text) {
  constexpr std::string_view kProfile = "profile ";
  IniFile out;
  std::string section;
  for (auto line : split(text, '\n')) {
    const bool nested = line.starts_with(' ') || line.starts_with('\t');
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trim(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      line = trim(line.substr(1, line.size() - 2));
      if (line.starts_with(kProfile)) line = trim(line.substr(kProfile.size()));
      section = line;
      continue;
    }
    const auto equals = line.find('=');
    if (nested || equals == std::string_view::npos) continue;
    out[section][std::string(trim(line.substr(0, equals)))] = trim(line.substr(equals + 1));
  }
  return out;
}

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

AwsCredentialChain::AwsCredentialChain(Environment environment)
    : environment_(std::move(environment)), held_(kExpired) {
  const auto home = environment_("HOME").value_or("") + "/.aws/";
  const auto name = environment_("AWS_PROFILE").value_or("default");
  const auto credentials =
      environment_("AWS_SHARED_CREDENTIALS_FILE").value_or(home + "credentials");
  const auto config = environment_("AWS_CONFIG_FILE").value_or(home + "config");
  // Of a key in both files the credentials file's counts.
  for (const auto& path : {credentials, config}) {
    auto sections = read_ini(read_if_there(path));
    profile_.merge(sections[name]);
  }
}

std::string AwsCredentialChain::setting(std::string_view key) const {
  const auto found = profile_.find(std::string(key));
  return found == profile_.end() ? std::string() : found->second;
}

std::string AwsCredentialChain::region() const {
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (auto value = environment_(name)) return *value;
  }
  return setting("region");
}

std::string AwsCredentialChain::endpoint() const {
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
    if (auto value = environment_(name)) return *value;
  }
  return setting("endpoint_url");
}

AwsCredentialChain::Found AwsCredentialChain::from_environment() const {
  const auto access = environment_("AWS_ACCESS_KEY_ID");
  const auto secret = environment_("AWS_SECRET_ACCESS_KEY");
  if (!access && !secret) return std::nullopt;
  if (!access || !secret) {
    return invalid("bad_credentials",
                   "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together; one of them is "
                   "not set");
  }
  return AwsCredentials{*access, *secret, environment_("AWS_SESSION_TOKEN").value_or(""), {}};
}

AwsCredentialChain::Found AwsCredentialChain::from_files() const {
  const auto access = setting("aws_access_key_id");
  const auto secret = setting("aws_secret_access_key");
  if (access.empty() || secret.empty()) {
    if (!environment_("AWS_PROFILE") || !profile_.empty()) return std::nullopt;
    return invalid("bad_credentials",
                   "AWS_PROFILE names a profile that is in neither the credentials nor the config "
                   "file");
  }
  return AwsCredentials{access, secret, setting("aws_session_token"), {}};
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
  std::string token = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN").value_or("");
  if (const auto file = environment_("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    SLUICE_TRY(token, read_text(*file, kMaxFile, "the container's token file"));
    token = trim(token.substr(0, token.find_first_of("\r\n")));
  }
  if (!token.empty()) request.headers.emplace_back("Authorization", token);
  SLUICE_TRY(const auto answer, fetch_document(client_, request, kContainer));
  return read_json(answer.body, kContainer);
}

// Most machines have no such address: what does not answer at once is not there.
AwsCredentialChain::Found AwsCredentialChain::from_machine() const {
  if (environment_("AWS_EC2_METADATA_DISABLED").value_or("") == "true") return std::nullopt;
  const auto base =
      environment_("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or("http://169.254.169.254");
  auto request = quick(base + "/latest/api/token");
  request.method = "PUT";
  request.headers.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  const auto token = client_.send(request);
  if (!token || token->status != 200) return std::nullopt;
  auto next = quick(base + "/latest/meta-data/iam/security-credentials/");
  next.headers.emplace_back("X-aws-ec2-metadata-token", std::string(trim(token->body)));
  const auto roles = client_.send(next);
  if (!roles || roles->status != 200) return std::nullopt;
  next.url += clients::percent_encode(roles->body.substr(0, roles->body.find('\n')), false);
  SLUICE_TRY(const auto answer, fetch_document(client_, next, kMachine));
  return read_json(answer.body, kMachine);
}

AwsCredentialChain::Found AwsCredentialChain::look() const {
  using Step = Found (AwsCredentialChain::*)() const;
  for (const Step step : {&AwsCredentialChain::from_environment, &AwsCredentialChain::from_files,
                          &AwsCredentialChain::from_container, &AwsCredentialChain::from_machine}) {
    SLUICE_TRY(auto found, (this->*step)());
    if (found) return found;
  }
  return std::nullopt;
}

}  // namespace sluice::sources
