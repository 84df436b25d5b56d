// Which of the versions that exist are wanted: a pure function of the names and `versions:`.
//
// Thread-safety: functions without state.
#pragma once

#include <vector>

#include "base/names.h"
#include "core/model_config.h"

namespace sluice::repository {

struct ChosenVersions {
  std::vector<VersionName> wanted;   // natural order
  std::vector<std::string> missing;  // named in `versions:`, but not there
};

ChosenVersions choose_versions(std::vector<VersionName> existing, const VersionChoice& choice);

}  // namespace sluice::repository
