// Identifiers for requests that came without one: 16 hexadecimal digits, unique for practical
// purposes across threads and processes.
// Thread-safety: any thread.
#pragma once

#include <string_view>

#include "base/arena.h"

namespace sluice::frontends {

std::string_view new_request_id(Arena& arena);

}  // namespace sluice::frontends
