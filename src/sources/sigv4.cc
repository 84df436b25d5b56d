#include "sources/sigv4.h"

#include <algorithm>
#include <array>

#include "base/digest.h"
#include "base/text.h"

namespace sluice::sources {
namespace {

// "20130524T000000Z"
std::string time_stamp(std::time_t now) {
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &utc)};
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return text;
}

std::string signing_key(const SigningKey& key, std::string_view date) {
  auto out = hmac_sha256("AWS4" + key.secret_key, date);
  out = hmac_sha256(out, key.region);
  out = hmac_sha256(out, key.service);
  return hmac_sha256(out, "aws4_request");
}

}  // namespace

std::string canonical_query(std::vector<std::pair<std::string, std::string>> query) {
  for (auto& [name, value] : query) {
    name = clients::percent_encode(name, false);
    value = clients::percent_encode(value, false);
  }
  std::ranges::sort(query);
  std::string out;
  for (const auto& [name, value] : query) {
    if (!out.empty()) out += '&';
    out += name;
    out += '=';
    out += value;
  }
  return out;
}

clients::HttpHeaders sign_v4(const ToSign& request, const SigningKey& key, std::time_t now) {
  const auto stamp = time_stamp(now);
  const auto date = stamp.substr(0, 8);
  const auto payload = request.payload.empty() ? sha256_hex("") : request.payload;
  clients::HttpHeaders out = {{"X-Amz-Content-Sha256", payload}, {"X-Amz-Date", stamp}};
  if (!key.session_token.empty()) out.emplace_back("X-Amz-Security-Token", key.session_token);
  clients::HttpHeaders headers = request.headers;
  headers.insert(headers.end(), out.begin(), out.end());
  headers.emplace_back("host", request.host);
  for (auto& [name, value] : headers) name = lower(std::move(name));
  std::ranges::sort(headers);
  std::string canonical =
      request.method + "\n" + request.path + "\n" + canonical_query(request.query) + "\n";
  std::string names;
  for (const auto& [name, value] : headers) {
    canonical += name + ":" + std::string(trim(value)) + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  canonical += "\n" + names + "\n" + payload;
  const auto scope = date + "/" + key.region + "/" + key.service + "/aws4_request";
  const auto text = "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + sha256_hex(canonical);
  const auto signature = to_hex(hmac_sha256(signing_key(key, date), text));
  out.emplace_back("Authorization", "AWS4-HMAC-SHA256 Credential=" + key.access_key + "/" + scope +
                                        ",SignedHeaders=" + names + ",Signature=" + signature);
  return out;
}

}  // namespace sluice::sources
