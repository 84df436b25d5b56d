// Servables that run on the thread that asks: no queue and no wake-up; what a turn of an event loop
// brings together runs together, a single request without a copy.
#pragma once

#include <memory>

#include "core/servable.h"

namespace sluice::serving {

std::unique_ptr<const ServableFactory> make_servable_factory();

}  // namespace sluice::serving
