#include "observers/builtin.h"

#include "observers/statistics.h"

namespace sluice::observers {

Observers make_builtin(const TraceControl& trace, EvidenceLog& evidence, Tap& tap,
                       const Tracer& tracer) {
  Observers out;
  out.push_back(make_tap_observer(tap));  // first: what it learns of an answer, others may count
  out.push_back(make_statistics());
  out.push_back(make_trace_log(trace));
  out.push_back(make_evidence(evidence));
  if (tracer.on()) out.push_back(make_spans(tracer));
  return out;
}

}  // namespace sluice::observers
