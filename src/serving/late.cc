#include "serving/late.h"

namespace sluice::serving {

bool is_cancelled(const Request& request) {
  return request.cancelled != nullptr && request.cancelled->load(std::memory_order_relaxed);
}

bool is_late(const Request& request, TimePoint now) {
  return is_cancelled(request) || now >= request.deadline;
}

Error late_error(const Request& request) {
  if (is_cancelled(request)) return {Code::kCancelled, "cancelled", "the call was cancelled", {}};
  return {
      Code::kDeadlineExceeded, "deadline", "the deadline passed before the answer was there", {}};
}

}  // namespace sluice::serving
