// One turn of an event loop: what became ready together.
//
// Work that is handed to `at_end` runs on the same thread behind everything that is ready now, so
// that what a turn brings in can be done together. What was done elsewhere comes back by `post`.
//
// Thread-safety: `at_end` on the loop's own thread, `post` from any.
#pragma once

#include <functional>

namespace sluice {

class Turn {
 public:
  virtual ~Turn() = default;
  virtual void at_end(std::move_only_function<void()> work) = 0;
  // Runs on the loop's thread, in a turn of its own.
  virtual void post(std::move_only_function<void()> work) = 0;
};

}  // namespace sluice
