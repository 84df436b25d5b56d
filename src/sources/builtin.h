// The places that models come from, by the scheme of a URL; what has none is a path on this disk.
//
// Thread-safety: functions without state.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/source.h"
#include "sources/layout.h"
#include "sources/remote.h"

namespace sluice::sources {

// "s3://bucket/models" and not "models/".
bool is_url(std::string_view text);

// `named`: the caller has a name for its one model. Errors: kInvalidArgument/`bad_url`,
// `unknown_format`; kInvalidArgument/`invalid_name` where it needs one; kNotFound where there is no
// such path; kFailedPrecondition where the cache cannot be used. A store is asked by the first
// `list`.
Result<std::unique_ptr<Source>> make_source(const std::string& path_or_url, Layout layout,
                                            const RemoteOptions& options, bool named);

// Where downloads are kept unless somebody says otherwise: `cache` in the state directory, else
// sluice in $XDG_CACHE_HOME or ~/.cache.
std::string default_cache_directory(const std::string& state_directory);

}  // namespace sluice::sources
