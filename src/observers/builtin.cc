#include "observers/builtin.h"

#include "observers/statistics.h"

namespace sluice::observers {

Observers make_builtin(const TraceControl& trace) {
  Observers out;
  out.push_back(make_statistics());
  out.push_back(make_trace_log(trace));
  return out;
}

}  // namespace sluice::observers
