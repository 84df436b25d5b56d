// Servables: a loaded model with the two ways to run it.
//
// A short model runs on the thread that read the request, together with all that this turn of the
// thread's loop brings: no queue, no hop, no lock. Everything else goes through the Batcher: models
// and batches that take long enough to keep other connections waiting, `policy: wait`, and runs
// beyond the number of instances. What is short is measured, not declared.
//
// Thread-safety: see core/servable.h.
#pragma once

#include <chrono>
#include <memory>

#include "core/servable.h"
#include "serving/faults.h"

namespace sluice::features {
class Features;
}

namespace sluice::serving {

// A run that is expected to take longer does not run on an I/O thread …
inline constexpr std::chrono::microseconds kInlineBelow{300};
// … and neither do further ones once those of a turn have taken so long.
inline constexpr std::chrono::microseconds kInlineTurn{1000};

// `faults`: what is put into versions on purpose. `features`: where models that name features get
// them; outlives the servables, null where there are none.
std::unique_ptr<const ServableFactory> make_servable_factory(
    FaultTable faults = {}, const features::Features* features = nullptr);

}  // namespace sluice::serving
