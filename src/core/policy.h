// Who gets which version: a pure choice, no clock, no lock, no disk.
//
// A Route says what a release wants of a model's traffic, whatever is loaded; the repository, which
// knows what is, makes a Policy of it for the serving table. Without a release the newest version
// takes everything (routing/newest).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/names.h"

namespace sluice {

// What a policy may look at.
struct RouteQuery {
  std::string_view user_id;  // empty: anonymous
};

// What was chosen, and what has to be known to learn from it.
struct Choice {
  std::size_t version = 0;  // an index into the ready versions that the policy was made for
  // Whose evidence the request is; 0: nobody's, as where an arm's version is not ready.
  std::uint64_t release = 0;
  std::uint32_t arm = 0;    // of that release
  float probability = 1;    // with which this arm was chosen
  std::uint32_t epoch = 0;  // of the release's shares, when it was chosen
  std::uint64_t unit = 0;   // a hash of the user, made odd; 0: anonymous
};

// Made anew whenever the model's versions or its release change: what it counts itself (relaxed
// atomics, at most) begins again then.
//
// Thread-safety: immutable but for that; called from every I/O thread.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual Choice choose(const RouteQuery& query) const = 0;
  // What requests are read for before it is known who gets which: a release's stable, else newest.
  virtual std::size_t usual() const = 0;
  // Versions that are asked too after the answer has left, without anybody hearing of it.
  virtual const std::vector<std::size_t>& shadows() const {
    static const std::vector<std::size_t> kNone;
    return kNone;
  }
  // How far apart a shadow's prediction may be and still agree.
  virtual double tolerance() const { return 0.01; }
};

// Thread-safety: immutable.
class Route {
 public:
  virtual ~Route() = default;
  // `ready` is in natural order and not empty. Null: none of the versions that it names is there.
  virtual std::shared_ptr<const Policy> over(const std::vector<VersionName>& ready) const = 0;
  // Versions that must be loaded and stay so, whatever else is said of the model.
  virtual std::vector<VersionName> needed() const { return {}; }
};

}  // namespace sluice
