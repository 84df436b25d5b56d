// Where a file is mapped into this process, and how such memory becomes the process's own.
//
// A mapped file that someone cuts off, or that its disk does not give any more, ends the process.
// Where a library has mapped one for good, `make_private` puts a copy in the mapping's place.
//
// Thread-safety: functions without state. Whoever owns a mapping must not give it back meanwhile.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace sluice {

using Pages = std::span<std::byte>;

// All private mappings (MAP_PRIVATE) of the file that is mapped at `address`, whole pages. Empty
// where nothing is mapped there, or where proc(5) is not to be had.
std::vector<Pages> private_mappings(const void* address);

// Replaces `pages` by memory with the same content at the same addresses, in one step: whoever
// reads them at the same time reads the same bytes. Nobody writes to them. False where there is no
// memory left; then all is as it was.
bool make_private(Pages pages);

}  // namespace sluice
