// Which of the ready versions a route may choose from.
//
// A version that is only loaded because a release names it is offered to the routes that name it,
// and to others only where there is nothing else. It would have all of the traffic otherwise: as
// the newest version, from when it is ready until its release begins, and from when the release
// has ended until it is unloaded.
//
// Thread-safety: a function without state.
#pragma once

#include <memory>

#include "core/policy.h"
#include "core/serving_table.h"

namespace sluice::repository {

// The route's policy; its choices are places in `entry.ready`, which is not empty. Null: none of
// the versions that the route names is there.
std::shared_ptr<const Policy> offer(const Route& route, const ModelEntry& entry);

}  // namespace sluice::repository
