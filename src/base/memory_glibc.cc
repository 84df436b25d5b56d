#include <malloc.h>

#include "base/memory.h"

namespace sluice {

// Left alone, glibc raises the size from which it maps memory to the largest that it saw, and keeps
// what is smaller: a few bodies of tens of megabytes would stay for ever.
void set_up_memory() { ::mallopt(M_MMAP_THRESHOLD, 1 << 20); }

void give_memory_back() { ::malloc_trim(0); }

}  // namespace sluice
