// What the repository knows of each model and version, and the pure step from that to what is to be
// done next.
//
// Thread-safety: values of the repository's own thread; functions without state.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "core/request.h"
#include "core/serving_table.h"
#include "core/source.h"

namespace sluice::repository {

struct VersionSlot {
  explicit VersionSlot(WantedVersion version) : wanted(std::move(version)) {}

  WantedVersion wanted;
  std::string seen;        // fingerprint of the last look, configuration included
  TimePoint seen_since{};  // since when it is that
  bool settled = false;    // believed to be all there

  std::shared_ptr<Tally> tally = std::make_shared<Tally>();  // of all that was loaded for it
  std::uint64_t loads = 0;
  std::uint64_t failed_loads = 0;
  std::string running;  // fingerprint of what `servable` was made of
  std::shared_ptr<const Servable> servable;
  std::uint64_t bytes = 0;
  TimePoint loaded_at{};
  std::int64_t loaded_ms = 0;  // since 1970, for comparison with a tally's last use

  bool loading = false;
  // Set when nobody wants what is being loaded any more.
  std::shared_ptr<std::atomic<bool>> abandoned = std::make_shared<std::atomic<bool>>(false);
  // Not among the versions that are to be served any more; serves until one of those does.
  bool retiring = false;
  bool needed = false;    // by a release: loaded and kept, whatever model.yaml says
  bool chosen = true;     // by model.yaml; else it was only ever needed by a release
  bool demanded = false;  // somebody waits for it, or asked for it to be loaded again
  std::string failed;     // fingerprint that cannot be served: not tried again until it changes
  std::string reason;     // why it failed
  TimePoint retry_at{};   // after a failure that may pass
  int failures = 0;       // of that kind, one after the other

  bool hopeless() const { return !failed.empty() && failed == seen; }
};

struct ModelSlot {
  WantedModel wanted;
  std::string seen;        // fingerprint of the configuration at the last look
  TimePoint seen_since{};  // since when it is that
  bool active = true;      // false: known, but out of service until it is asked to be loaded
  bool twice = false;      // a file and a directory of one name
  bool gone = false;       // from the source; runs until it is asked to be unloaded
  std::map<VersionName, VersionSlot> versions;
};

// "model fraud version v2", as messages call it.
std::string title(const std::string& model, const WantedVersion& version);

// Whether a version is to be loaded now. `lazy`: only for somebody, or to take over from those that
// retire.
bool should_load(const ModelSlot& model, const VersionSlot& version, TimePoint now);

// Takes note of a look at the configuration, and answers what is to be believed of the model: a
// configuration that was seen for less than `settle` may be half written, and the last one holds.
WantedModel believe(ModelSlot& slot, const WantedModel& wanted, TimePoint now,
                    std::chrono::milliseconds settle);

// Takes note of a look at the version; true where it is another than before. `settle`: how long
// files must stay as they are before they are believed to be all there.
bool note_look(VersionSlot& slot, const WantedVersion& wanted, const std::string& fingerprint,
               TimePoint now, std::chrono::milliseconds settle);

// Whether the version is the one that has to be loaded so that those that retire can go: the newest
// that can be served, where all that are to be served rest.
bool takes_over(const ModelSlot& model, const VersionSlot& version);

// Whether those that retire may go: no version that is to be served is still to come, and one of
// them is there.
bool may_retire(const ModelSlot& model);

// How long to wait after the n-th failure of a kind that may pass.
std::chrono::milliseconds back_off(int failures);

// Lazy versions that have to go so that `needed` more bytes fit into `limit`, the least recently
// used first. Nothing when even that would not be enough. `keep` stays in any case.
struct Eviction {
  bool fits = true;
  std::vector<std::pair<std::string, VersionName>> victims;
};
Eviction make_room(const std::map<std::string, ModelSlot>& models, std::uint64_t needed,
                   std::uint64_t limit, const VersionSlot* keep);

}  // namespace sluice::repository
