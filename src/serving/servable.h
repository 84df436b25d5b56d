// Servables that run on the thread that asks: no queue, no wake-up, no copy.
#pragma once

#include <memory>

#include "core/servable.h"

namespace sluice::serving {

std::unique_ptr<const ServableFactory> make_servable_factory();

}  // namespace sluice::serving
