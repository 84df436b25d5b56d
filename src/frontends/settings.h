// What front ends are told that may change while the server runs (SIGHUP).
//
// Thread-safety: immutable; published whole, read without a lock.
#pragma once

#include "base/snapshot.h"

namespace sluice::frontends {

struct Settings {
  bool strict = false;         // an unknown key of a simple request is an error
  bool version_header = true;  // X-Sluice-Version chooses the version
  bool triton_names = false;   // /metrics has the nv_inference_* family too
  bool public_metrics = true;  // public listeners answer /metrics
};

using LiveSettings = Snapshot<Settings>;

}  // namespace sluice::frontends
