// The state in Redis: what the replicas of a server share. Redis 6.2 or newer, and what speaks its
// protocol and runs its scripts.
//
// All of it is under one prefix of the URL's database; one fleet has a database. What is written is
// as lasting as Redis is set up (its `appendonly`); a failover may lose the newest of it
// (BeatHeard::life).
//
// Thread-safety: a StateStore's.
#pragma once

#include <memory>
#include <string>

#include "core/state_store.h"

namespace sluice::state {

// `where` is a URL of clients/redis_url.h. Redis need not be there yet: a warning in the log then,
// and each call is an error until it is. Errors: kInvalidArgument/`bad_state_url`.
Result<std::unique_ptr<StateStore>> open_redis(const std::string& where);

}  // namespace sluice::state
