// Which of the system's error numbers are of the moment.
//
// Thread-safety: a function without state.
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>

namespace sluice {

// Of the machine's state (a full table, a network that hangs) and not of what was asked for:
// another try may go better.
inline bool is_passing(int error) {
  constexpr std::array kPassing = {EMFILE, ENFILE, ENOMEM,   ENOSPC,    EIO,
                                   EAGAIN, ESTALE, ENOTCONN, ETIMEDOUT, EINTR};
  return std::ranges::find(kPassing, error) != kPassing.end();
}

}  // namespace sluice
