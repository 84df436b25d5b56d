// A child of the keeper that loads a model and then runs it for whoever holds the other end of its
// socket, one run at a time: as many bytes as a Frame says follow it, tensors (tensor_wire.h) or a
// text.
//
//   child:  kHello (its number)    kLoaded | kFailed (why)
//   server: kRun (inputs)          child: kDone (outputs) | kFailed (why)
//
// A crash says kCrashed, by its handler, and the socket closes. The process has idle priority, and
// ends with its socket, with the keeper, and so with the server.
//
// Thread-safety: of a process with one thread.
#pragma once

#include <cstdint>
#include <vector>

#include "repository/keeper_order.h"

namespace sluice::repository {

enum class FrameKind : std::uint32_t { kHello, kLoaded, kFailed, kCrashed, kRun, kDone };

struct Frame {
  FrameKind kind = FrameKind::kHello;
  std::uint32_t detail = 0;  // kHello: the process; kFailed: the Code; kCrashed: the signal
  std::uint64_t bytes = 0;   // that follow
  // kDone: of the run, without what it waited for a processor; kLoaded: of a processor, so far.
  std::int64_t nanoseconds = 0;
};

// Of one frame. A shadow's inputs are 1 MiB at most; texts are longer here than in a request.
inline constexpr std::uint64_t kMostFrameBytes = std::uint64_t{64} << 20;

[[noreturn]] void be_host(const Registry<Engine>& engines, const Order& order,
                          std::vector<Fd>& fds);

}  // namespace sluice::repository
