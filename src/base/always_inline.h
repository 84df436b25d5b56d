// For functions that are compiled once for each kind of processor that they may run on: what they
// call must be compiled with them.
#pragma once

#define SLUICE_ALWAYS_INLINE inline __attribute__((always_inline))
