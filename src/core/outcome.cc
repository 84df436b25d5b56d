#include "core/outcome.h"

#include "core/request.h"

namespace sluice {

std::string_view word_of(Ending ending) {
  switch (ending) {
    case Ending::kAnswered: return "success";
    case Ending::kFailed: return "failure";
    case Ending::kShed: return "overload";
    case Ending::kMistake: return "client_error";
    case Ending::kGuarded: return "guard";
  }
  return "failure";
}

Ending ending_of(const Request& request) {
  const auto& error = request.reply.error;
  if (!error) return Ending::kAnswered;
  // What the version makes of a request that others can answer is its own fault.
  if (request.misfit || request.unsound) return Ending::kFailed;
  switch (error->code) {
    case Code::kInternal:
    case Code::kUnknown:
    case Code::kDataLoss: return Ending::kFailed;
    case Code::kUnavailable:
      // A model whose processes end is at fault itself, and so is one that needs more memory than
      // there is; no room is everybody's.
      return error->reason == "no_worker" || error->reason == "out_of_memory" ? Ending::kFailed
                                                                              : Ending::kShed;
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
    case Code::kResourceExhausted: return Ending::kShed;
    default: break;
  }
  const bool guarded =
      error->reason == "bounds" || error->reason == "guard" || error->reason == "stale_feature";
  return guarded ? Ending::kGuarded : Ending::kMistake;
}

}  // namespace sluice
