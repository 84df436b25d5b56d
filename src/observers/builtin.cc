#include "observers/builtin.h"

#include "observers/statistics.h"

namespace sluice::observers {

Observers make_builtin(const TraceControl& trace, EvidenceLog& evidence) {
  Observers out;
  out.push_back(make_statistics());
  out.push_back(make_trace_log(trace));
  out.push_back(make_evidence(evidence));
  return out;
}

}  // namespace sluice::observers
