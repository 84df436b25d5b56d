// When memory goes back to the system. One file for each allocator; CMake chooses
// (SLUICE_MIMALLOC). Thread-safety: `set_up_memory` before there are other threads, the other from
// any.
#pragma once

namespace sluice {

// Large blocks (bodies of megabytes) are to be the system's again when they are freed.
void set_up_memory();

// Something large was freed in many pieces: what it leaves in the allocator is given back. Holds up
// whoever allocates meanwhile, so not to be called often.
void give_memory_back();

}  // namespace sluice
