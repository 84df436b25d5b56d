// The state in a file of this machine: what one server needs, without another service.
//
// Puts and removes are on the disk when they return. What is saved every second is handed to the
// system only (clients/sqlite.h, Survives).
//
// Thread-safety: a StateStore's. Calls wait for one another, at worst for a put's disk write.
#pragma once

#include <memory>
#include <string>

#include "core/state_store.h"

namespace sluice::state {

// `where` is a directory, which is made (mode 0700) where it is missing and gets the file
// `sluice.db`, or ":memory:". Several processes of this machine may share it.
// Errors: those of StateStore.
Result<std::unique_ptr<StateStore>> open_sqlite(const std::string& where);

}  // namespace sluice::state
