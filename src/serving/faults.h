// Faults that are put into versions on purpose, for tests and drills: a model that fails, that
// hangs, that answers NaN. `sluice serve --inject-faults`.
//
//   fraud/v2: errors=0.05 delay=5s delay_rate=0.1 nan=0.01; iris/v3: errors=1
//
//   errors=SHARE      of requests fail with `injected_fault`
//   delay=DURATION    a run takes so much longer, on the thread that it runs on
//   delay_rate=SHARE  of runs (a batch is one run) that are delayed; 1 where it is not given
//   nan=SHARE         of requests have NaN for the first number of each output
//   crash=SHARE       of runs raise SIGSEGV, as an engine's library might. Shadows run in a process
//                     of their own, which ends; a version that users ask ends the server
//
// A version without faults has none of this: its execution tests one pointer.
//
// Thread-safety: immutable; chance is the calling thread's own.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/names.h"
#include "base/option.h"
#include "core/model_host.h"
#include "core/request.h"

namespace sluice::serving {

struct Fault {
  double errors = 0;
  Millis delay{0};
  double delay_rate = 1;
  double nan = 0;
  double crash = 0;

  bool delays() const { return delay > Millis(0) && delay_rate > 0; }
  // Sleeps or crashes, as often as it is to: part of a run.
  void strike() const;
  // The same, for a run in another process.
  HostFaults of_run() const { return {crash, delay, delays() ? delay_rate : 0}; }
  // What becomes of a request that was run without an error. Errors: kInternal/`injected_fault`.
  Result<void> spoil(Request& request) const;
};

class FaultTable {
 public:
  // Errors: kInvalidArgument/`bad_faults` with the part that cannot be read.
  static Result<FaultTable> parse(std::string_view text);

  // Null: none.
  std::shared_ptr<const Fault> of(const ModelName& model, const VersionName& version) const;
  bool empty() const { return faults_.empty(); }

 private:
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Fault>> faults_;
};

}  // namespace sluice::serving
