// Versions that are loaded when somebody first asks for them.
//
// The pipeline asks where it finds a model whose version is cold; the repository loads it, once for
// however many ask, and tells all of them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "core/request.h"

namespace sluice {

// Thread-safety: any thread.
class OnDemand {
 public:
  using Then = std::move_only_function<void(Result<std::shared_ptr<const Servable>>)>;

  virtual ~OnDemand() = default;
  // Never blocks. `then` is called once, on a thread of the loader's: with the version (the newest
  // where `version` is empty) once it is loaded, or with why it cannot be. Errors: those of
  // loading; kDeadlineExceeded when it takes until `deadline`; kUnavailable when too many wait.
  virtual void want(std::string_view model, std::string_view version, TimePoint deadline,
                    Then then) = 0;
};

}  // namespace sluice
