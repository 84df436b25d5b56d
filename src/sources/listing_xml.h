// The documents of S3's interface, which others speak too (Google's, Ceph's, MinIO's): a page of
// ListObjectsV2, and what is said of an upload in parts.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sources/object_store.h"

namespace sluice::sources {

struct ListingPage {
  std::vector<Object> objects;  // keys are whole, not below a prefix
  std::size_t folders = 0;      // that were not looked into
  std::string next;             // token of the next page; empty for the last
};

// Errors: kUnavailable/`not_a_store` for what is no such page.
Result<ListingPage> read_listing(std::string_view xml);

// The upload's own name, of an InitiateMultipartUploadResult. Errors: as above.
Result<std::string> read_upload_id(std::string_view xml);

// One part of an upload in parts, as the store answered it.
struct UploadedPart {
  int number = 0;  // from 1 on
  std::string etag;
};
std::string write_completion(const std::vector<UploadedPart>& parts);
// The object's ETag, of a CompleteMultipartUploadResult. A store may answer 200 before it knows
// whether it succeeds, and tell the failure in the body. Errors: kUnavailable/`store_busy` for
// that, else as above.
Result<std::string> read_completion(std::string_view xml);

// The word that says what is wrong ("BadDigest"); empty where there is none.
std::string error_word(std::string_view xml);
// The region that the bucket is really in, by a refusal to take what was signed for another; empty
// where it does not say so.
std::string error_region(std::string_view xml);

}  // namespace sluice::sources
