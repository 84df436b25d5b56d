// The stores that there are, each by its scheme: one file and one line here, and one line in
// builtin.cc.
//
// Thread-safety: functions without state. Errors: kInvalidArgument/`bad_url` for a URL that cannot
// be one; nothing is asked of the network yet.
#pragma once

#include <string_view>

#include "sources/aws_credentials.h"
#include "sources/bucket.h"
#include "sources/google_credentials.h"
#include "sources/object_store.h"

namespace sluice::sources {

// `url` is the whole of it.
Result<Located> open_s3(std::string_view url, const Layout& layout, const Environment& environment);
Result<Located> open_gcs(std::string_view url, const Layout& layout,
                         const Environment& environment);
// The same buckets without a layout of models, for files of any kind.
Result<BucketAccess> access_s3(std::string_view url, const Environment& environment);
Result<BucketAccess> access_gcs(std::string_view url, const Environment& environment,
                                GoogleScope scope);

Result<Located> open_https(std::string_view url, const Layout& layout,
                           const Environment& environment);
Result<Located> open_mlflow(std::string_view url, const Layout& layout,
                            const Environment& environment);

}  // namespace sluice::sources
