// Writing to a bucket: whole objects, uploads in parts, and what takes them away.

#include "base/base64.h"
#include "base/digest.h"
#include "base/text.h"
#include "sources/bucket_store.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

constexpr std::chrono::seconds kAnswerTimeout{60};
// A store is silent while it writes what it has got, and while it puts parts together.
constexpr std::chrono::seconds kStallTime{60};
constexpr std::chrono::minutes kPutTogether{15};

void answer_soon(clients::HttpRequest& request) { request.timeout = kAnswerTimeout; }

// Some of what S3 tells with status 400 is the network's doing; nothing for other answers.
Result<void> check_written(const clients::HttpAnswer& answer, std::string_view what) {
  const auto word = answer.status == 400 ? error_word(answer.body) : std::string();
  if (word == "BadDigest" || word == "XAmzContentSHA256Mismatch" || word == "IncompleteBody") {
    return unavailable("damaged", std::string(what) + " got other bytes than were sent");
  }
  if (word == "RequestTimeout") return unavailable("store_busy", std::string(what) + " timed out");
  if (answer.status == 404) {
    return not_found("no_such_object", std::string(what) + " does not exist");
  }
  return {};
}

}  // namespace

std::string quoted_etag(const clients::HttpHeaders& headers) {
  const auto* found = clients::find_header(headers, "ETag");
  if (found == nullptr || found->empty()) return {};
  return found->starts_with('"') || found->starts_with("W/") ? *found : '"' + *found + '"';
}

Result<std::optional<Object>> Bucket::look(const std::string& key) {
  SLUICE_TRY(const auto answer, send({"HEAD", prefix_ + key, {}, {}, ""}, answer_soon));
  if (answer.status == 404) return std::optional<Object>();
  SLUICE_CHECK(check(answer));
  const auto* length = clients::find_header(answer.headers, "Content-Length");
  const auto size = length == nullptr ? std::nullopt : parse_uint(*length);
  if (!size) return unavailable("not_a_store", title_ + " does not say an object's size");
  Object out;
  out.key = key;
  out.size = *size;
  out.etag = quoted_etag(answer.headers);
  return std::optional(std::move(out));
}

Result<Stored> Bucket::send_payload(Ask ask, const Payload& payload,
                                    const std::atomic<bool>& stop) {
  ask.headers.emplace_back("Content-MD5", encode_base64(payload.md5));
  ask.payload = payload.sha256;
  SLUICE_TRY(const auto answer, send(ask, [&](clients::HttpRequest& request) {
               request.file = {payload.fd, payload.offset, payload.length};
               request.stall_time = kStallTime;
               request.stop = &stop;
             }));
  SLUICE_CHECK(check_written(answer, title_));
  SLUICE_CHECK(check(answer));
  return Stored{quoted_etag(answer.headers), etag_counts(answer.headers)};
}

Result<Stored> Bucket::put(const std::string& key, const Payload& payload,
                           const std::atomic<bool>& stop) {
  return send_payload({"PUT", prefix_ + key, {}, {}, ""}, payload, stop);
}

Result<void> Bucket::remove(const std::string& key) {
  SLUICE_TRY(const auto answer, send({"DELETE", prefix_ + key, {}, {}, ""}, answer_soon));
  if (answer.status == 404) return {};
  return check(answer);
}

Result<std::string> Bucket::begin_parts(const std::string& key) {
  SLUICE_TRY(const auto answer,
             send({"POST", prefix_ + key, {{"uploads", ""}}, {}, ""}, answer_soon));
  SLUICE_CHECK(check_written(answer, title_));
  SLUICE_CHECK(check(answer));
  auto read = read_upload_id(answer.body);
  if (!read) return Failure(named(std::move(read).error(), title_));
  return read;
}

Result<Stored> Bucket::put_part(const std::string& key, const std::string& upload, int number,
                                const Payload& payload, const std::atomic<bool>& stop) {
  return send_payload({"PUT",
                       prefix_ + key,
                       {{"partNumber", std::to_string(number)}, {"uploadId", upload}},
                       {},
                       ""},
                      payload, stop);
}

Result<Stored> Bucket::end_parts(const std::string& key, const std::string& upload,
                                 const std::vector<UploadedPart>& parts) {
  const auto body = write_completion(parts);
  const Ask ask{"POST",
                prefix_ + key,
                {{"uploadId", upload}},
                {{"Content-Type", "application/xml"}},
                sha256_hex(body)};
  SLUICE_TRY(const auto answer, send(ask, [&](clients::HttpRequest& request) {
               request.body = body;
               request.timeout = kPutTogether;
               request.stall_rate = 0;
             }));
  SLUICE_CHECK(check_written(answer, title_));
  SLUICE_CHECK(check(answer));
  auto etag = read_completion(answer.body);
  if (!etag) return Failure(named(std::move(etag).error(), title_));
  return Stored{*std::move(etag), etag_counts(answer.headers)};
}

Result<void> Bucket::drop_parts(const std::string& key, const std::string& upload) {
  SLUICE_TRY(const auto answer,
             send({"DELETE", prefix_ + key, {{"uploadId", upload}}, {}, ""}, answer_soon));
  // It may have ended by itself meanwhile.
  if (answer.status == 404) return {};
  return check(answer);
}

}  // namespace sluice::sources
