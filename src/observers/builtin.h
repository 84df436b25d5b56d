// The observers that exist, in the order in which they are told. To add one, write its file and add
// its line to builtin.cc.
#pragma once

#include "core/observer.h"
#include "observers/evidence.h"
#include "observers/spans.h"
#include "observers/tap.h"
#include "observers/trace_log.h"

namespace sluice::observers {

// All outlive the observers.
Observers make_builtin(const TraceControl& trace, EvidenceLog& evidence, Tap& tap,
                       const Tracer& tracer);

}  // namespace sluice::observers
