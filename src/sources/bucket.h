// A bucket behind S3's XML interface: Amazon's, and all that speak it (Google's, Ceph, MinIO, R2).
// Who may read is the business of whoever makes it (s3.cc, gcs.cc).
//
// Thread-safety: that of ObjectStore.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "clients/http.h"
#include "sources/object_store.h"
#include "sources/sigv4.h"

namespace sluice::sources {

struct BucketPlace {
  std::string title;   // "the S3 bucket"
  std::string origin;  // "https://host:port"
  std::string host;    // as the Host header has it
  std::string path;    // "/bucket", or empty where the host has the bucket's name
  std::string prefix;  // of the keys; empty, or with a slash at its end
};

// Adds what lets a request in. Errors: where no credentials can be had.
using Authorize = std::function<Result<void>(const ToSign& request, clients::HttpHeaders& headers)>;
// Told of the region that the bucket is really in; true: another try makes sense.
using OnRegion = std::function<bool(const std::string& region)>;

std::unique_ptr<ObjectStore> make_bucket(BucketPlace place, Authorize authorize,
                                         OnRegion on_region = nullptr);

// Splits "bucket/some/prefix". Errors: kInvalidArgument/`bad_url` without a bucket.
struct BucketPath {
  std::string bucket;
  std::string path;
};
Result<BucketPath> split_bucket(std::string_view text, std::string_view scheme);

// Of an origin, without the port that goes without saying.
std::string host_header(const clients::Url& url);

}  // namespace sluice::sources
