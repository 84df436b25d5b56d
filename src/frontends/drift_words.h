// What drift is, in English: one sentence for a feature, one for a model.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <vector>

#include "core/watch_config.h"
#include "observers/drift.h"

namespace sluice::frontends {

// "'age' has drifted: its median is 61, in training it was 38 (PSI 1.32, KS 0.51, 1240 rows)."
std::string sentence(const observers::DriftOf& of, const observers::DriftOfVersion& version,
                     const DriftOptions& options);

// "drifted", "none" or, while there is too little to say, "unknown".
std::string_view status_of(const std::vector<observers::DriftOfVersion>& versions);
std::string summary(const std::vector<observers::DriftOfVersion>& versions,
                    const DriftOptions& options);

}  // namespace sluice::frontends
