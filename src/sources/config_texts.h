// The texts of configuration files in a store: each is read once for each content that it has.
//
// Thread-safety: one thread at a time.
#pragma once

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "sources/object_store.h"
#include "sources/remote_listing.h"

namespace sluice::sources {

class ConfigTexts {
 public:
  // Both must outlive it.
  ConfigTexts(ObjectStore& store, const std::atomic<bool>& stop) : store_(store), stop_(stop) {}

  // What a process before this one knew: for where the store gives no other.
  void set_before(KnownTexts before) { before_ = std::move(before); }

  // A new look at the store begins.
  void begin_look() { tries_ = std::exchange(failed_, false) ? 1 : kTries; }
  // Errors: those of read_object. A store that could not give a file in this look or the one before
  // it is asked once for each: whatever has none of its trouble does not wait for it.
  Result<std::string> read(const Object& object);
  // As it was known before, whatever it may be by now.
  Result<std::string> read_before(const Object& object) const;
  // What is not there any more is not remembered. `objects` are in order.
  void forget_others(const std::vector<Object>& objects);

  const KnownTexts& texts() const { return texts_; }
  // There are others than when they were kept.
  bool changed() const { return changed_; }
  void kept() { changed_ = false; }

 private:
  ObjectStore& store_;
  const std::atomic<bool>& stop_;
  KnownTexts before_;
  KnownTexts texts_;
  bool changed_ = false;
  int tries_ = kTries;
  bool failed_ = false;  // in this look
};

}  // namespace sluice::sources
