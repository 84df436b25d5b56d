// How urgent the calling thread is to the system.
//
// Thread-safety: each function is about the thread that calls it.
#pragma once

namespace sluice {

// Only what nobody else wants of the processors, under this name (at most 15 characters).
void become_idle(const char* name);

// 10 nice levels below what the thread had, whatever the process was started with: those that
// answer get ten times as much of a processor that both want.
void lower_priority();

// For as long as this lives, an idle thread is one as any other: where it holds a lock, those in a
// hurry would wait for it while it waits for a processor.
class Hurry {
 public:
  Hurry();
  ~Hurry();
  Hurry(const Hurry&) = delete;
  Hurry& operator=(const Hurry&) = delete;
};

}  // namespace sluice
