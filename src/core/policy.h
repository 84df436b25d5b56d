// Who gets which version: a pure choice, no clock, no lock, no disk.
//
// To add one: write `routing/<name>.cc` and one line in `routing/builtin.cc`.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/error.h"
#include "base/names.h"

namespace sluice {

// What a policy may look at.
struct RouteQuery {
  std::string_view user_id;  // empty: anonymous
};

// Thread-safety: immutable; `choose` is called from every I/O thread.
class Policy {
 public:
  virtual ~Policy() = default;
  // An index into the ready versions that the policy was made for.
  virtual std::size_t choose(const RouteQuery& query) const = 0;
};

class PolicyFactory {
 public:
  virtual ~PolicyFactory() = default;
  // `ready` is in natural order and not empty; `release` is the model's `release:` or null.
  virtual Result<std::shared_ptr<const Policy>> make(const std::vector<VersionName>& ready,
                                                     const Node& release) const = 0;
};

}  // namespace sluice
