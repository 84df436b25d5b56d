// A bucket behind S3's XML interface: Amazon's, and all that speak it (Google's, Ceph, MinIO, R2).
// Who may read is the business of whoever makes it (s3.cc, gcs.cc).
//
// Thread-safety: that of WritableStore.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "clients/http.h"
#include "sources/object_store.h"
#include "sources/sigv4.h"
#include "sources/writable_store.h"

namespace sluice::sources {

// Whom to ask for a bucket.
struct BucketAddress {
  std::string origin;  // "https://host:port"
  std::string host;    // as the Host header has it
  std::string path;    // "/bucket", or empty where the host has the bucket's name
};

struct BucketPlace {
  std::string title;         // "the S3 bucket"
  BucketAddress address;     // until an answer says that the bucket is elsewhere
  std::string prefix;        // of the keys; empty, or with a slash at its end
  std::string not_signed{};  // why a request has no signature, for where it is refused then
  // Only this file below the prefix is wanted, and what may belong to it: nothing else is listed.
  std::string file{};
  // What to say where the prefix is a file and no folder. Empty: any name may be a folder's.
  std::string no_folder{};
};

// Adds what lets a request in. Errors: where no credentials can be had.
using Authorize = std::function<Result<void>(const ToSign& request, clients::HttpHeaders& headers)>;
// Told of the region that the bucket is really in, by one thread at a time. Answers the address to
// ask instead; nothing: no other try makes sense.
using OnRegion = std::function<std::optional<BucketAddress>(const std::string& region)>;

std::unique_ptr<WritableStore> make_bucket(BucketPlace place, Authorize authorize,
                                           OnRegion on_region = nullptr);

// Splits "bucket/some/prefix". Errors: kInvalidArgument/`bad_url` without a bucket.
struct BucketPath {
  std::string bucket;
  std::string path;
};
Result<BucketPath> split_bucket(std::string_view text, std::string_view scheme);

// A bucket of a URL, and who may use it.
struct BucketAccess {
  BucketPlace place;  // without a prefix
  BucketPath path;    // what the URL says
  Authorize authorize;
  OnRegion on_region;
  std::string identity;  // of the bucket: what tells it from all others; never shown
};
// As a place of models.
Located locate(BucketAccess access, const Layout& layout);

// The bucket of a URL, for files of any kind. Keys are those of the whole bucket.
struct OpenBucket {
  std::unique_ptr<WritableStore> store;
  std::string path;      // of the URL, below the bucket; without a slash at its end
  std::string identity;  // of the bucket
};
// True for s3:// and gs://.
bool is_bucket_url(std::string_view text);
// `writes`: whether more than reading is wanted. Errors: kInvalidArgument/`bad_url`,
// `bad_credentials`; nothing is asked of the network yet.
Result<OpenBucket> open_bucket(std::string_view url, bool writes);

// Of an origin, without the port that goes without saying.
std::string host_header(const clients::Url& url);

}  // namespace sluice::sources
