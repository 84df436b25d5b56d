// What releases do, as metrics: shares, arms, evidence, decisions.
#pragma once

#include "telemetry/exposition.h"

namespace sluice::release {
class Releases;
}

namespace sluice::frontends {

// As it was some time in the last second.
void write_releases(Exposition& text, const release::Releases& releases);

}  // namespace sluice::frontends
