// A page of S3's ListObjectsV2, which others answer too (Google's, Ceph's, MinIO's).
//
// Thread-safety: a function without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sources/object_store.h"

namespace sluice::sources {

struct ListingPage {
  std::vector<Object> objects;  // keys are whole, not below a prefix
  std::string next;             // token of the next page; empty for the last
};

// Errors: kUnavailable/`not_a_store` for what is no such page.
Result<ListingPage> read_listing(std::string_view xml);

}  // namespace sluice::sources
