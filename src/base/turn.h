// One turn of an event loop: what became ready together.
//
// Work that is handed to `at_end` runs on the same thread behind everything that is ready now, so
// that what a turn brings in can be done together.
//
// Thread-safety: on the loop's own thread.
#pragma once

#include <functional>

namespace sluice {

class Turn {
 public:
  virtual ~Turn() = default;
  virtual void at_end(std::move_only_function<void()> work) = 0;
};

}  // namespace sluice
