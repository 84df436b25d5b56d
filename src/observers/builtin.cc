#include "observers/builtin.h"

#include "observers/statistics.h"

namespace sluice::observers {

Observers make_builtin(const TraceControl& trace, EvidenceLog& evidence, Watchers& watch) {
  Observers out;
  out.push_back(
      make_tap_observer(watch.tap));  // first: what it learns of an answer, others may count
  out.push_back(make_statistics(watch.unserved));
  out.push_back(make_trace_log(trace));
  out.push_back(make_evidence(evidence));
  if (watch.tracer.on()) out.push_back(make_spans(watch.tracer));
  return out;
}

}  // namespace sluice::observers
