// Threads that take what others leave.
//
// Thread-safety: acts on the calling thread alone.
#pragma once

namespace sluice {

// 10 nice levels below what the thread had, whatever the process was started with: those that
// answer get ten times as much of a processor that both want.
void lower_priority();

}  // namespace sluice
