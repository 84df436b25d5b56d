// Memory that this process and one of its workers both map.
//
// It is sealed: whoever has the descriptor can write into it, but can neither cut it off (which
// would end the other at its next look) nor make it larger. Zeros at first.
//
// Thread-safety: none of its own; two processes write into it at any time.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/file.h"

namespace sluice::engines {

class WorkerMemory {
 public:
  WorkerMemory() = default;
  // None where the system gives no memory or no descriptor.
  static std::optional<WorkerMemory> make(std::size_t size);

  const Fd& descriptor() const { return descriptor_; }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  Fd descriptor_;
  std::shared_ptr<const void> mapping_;
  std::span<std::byte> bytes_;
};

}  // namespace sluice::engines
