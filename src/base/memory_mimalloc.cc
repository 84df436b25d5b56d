// glibc's lists of free blocks are short (seven of a size and thread), and a turn of the loop that
// takes thirty requests frees thirty of each size: see docs/decisions/0031-mimalloc.md.
#include <mimalloc.h>

#include "base/memory.h"

namespace sluice {

void set_up_memory() {}  // huge blocks are mapped each by itself, and unmapped

void give_memory_back() { ::mi_collect(true); }

}  // namespace sluice
