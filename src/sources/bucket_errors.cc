#include "sources/bucket_errors.h"

#include <algorithm>
#include <array>

#include "sources/listing_xml.h"
#include "sources/store_http.h"

namespace sluice::sources {
namespace {

struct Known {
  std::string_view word;
  Code code;
  std::string_view reason;
  std::string_view says;  // after the store's name
};

constexpr std::array<Known, 17> kKnown = {{
    {"ExpiredToken", Code::kPermissionDenied, "refused",
     "says that the temporary credentials have expired; get new ones"},
    {"TokenRefreshRequired", Code::kPermissionDenied, "refused",
     "says that the temporary credentials have expired; get new ones"},
    {"InvalidToken", Code::kPermissionDenied, "refused",
     "refuses the credentials: it does not know the session token, which must be of the same "
     "credentials as the access "
     "key and the secret key; there is none with keys that do not expire"},
    {"InvalidAccessKeyId", Code::kPermissionDenied, "refused",
     "refuses the credentials: it does not know the access key; check that it is this store's, and "
     "neither deleted nor switched off"},
    {"SignatureDoesNotMatch", Code::kPermissionDenied, "refused",
     "refuses the credentials: the signature is wrong; check that the secret key is the access "
     "key's, and that no proxy changes requests on their way"},
    {"RequestTimeTooSkewed", Code::kPermissionDenied, "refused",
     "refuses the credentials because this machine's clock is wrong by more than a quarter of an "
     "hour; set the clock"},
    {"AccessDenied", Code::kPermissionDenied, "refused",
     "refuses access; the credentials are known, but do not allow this: listing needs "
     "s3:ListBucket on the bucket, reading s3:GetObject on its objects, and kms:Decrypt where they "
     "are encrypted with a key of KMS"},
    {"InvalidObjectState", Code::kPermissionDenied, "refused",
     "has an object in an archive; restore it, or copy it to a storage class that can be read at "
     "once"},
    {"NoSuchBucket", Code::kNotFound, "no_such_path",
     "does not exist; check its name and which store is asked"},
    {"PermanentRedirect", Code::kFailedPrecondition, "elsewhere",
     "is in another region than the one that was asked; set AWS_REGION to the bucket's"},
    {"TemporaryRedirect", Code::kUnavailable, "store_busy", "is being moved; it is asked again"},
    {"AuthorizationHeaderMalformed", Code::kFailedPrecondition, "elsewhere",
     "cannot read the signature; check that AWS_REGION is the bucket's, and that the access key "
     "has neither a space nor a line break in it"},
    {"InvalidRegionName", Code::kFailedPrecondition, "elsewhere",
     "does not know the region; check AWS_REGION"},
    {"InvalidBucketName", Code::kInvalidArgument, "bad_url", "has a name that no bucket has"},
    {"SlowDown", Code::kUnavailable, "store_busy", "asks to be left alone for a while (SlowDown)"},
    {"RequestTimeout", Code::kUnavailable, "store_busy", "waited too long for the request"},
    {"NotImplemented", Code::kFailedPrecondition, "strange_answer",
     "does not know what was asked for; it speaks only a part of S3's interface"},
}};

}  // namespace

Result<void> check_bucket(const clients::HttpAnswer& answer, std::string_view what,
                          std::string_view not_signed) {
  auto checked = check_status(answer, what);
  if (checked) return checked;
  auto error = std::move(checked).error();
  const auto word = error_word(answer.body);
  const auto known = std::ranges::find(kKnown, word, &Known::word);
  if (known != kKnown.end()) {
    error.code = known->code;
    error.reason = known->reason;
    error.message = std::string(what) + " " + std::string(known->says);
  }
  // What the credentials allow is not the question where there are none.
  if (error.code == Code::kPermissionDenied && !not_signed.empty() &&
      word != "InvalidObjectState") {
    error.message = std::string(what) + " refuses access: " + std::string(not_signed);
  }
  return Failure(std::move(error));
}

}  // namespace sluice::sources
