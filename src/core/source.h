// A place that models come from.
//
// A source states the complete list of what should be served each time it is asked; what it leaves
// out is unloaded. It is level-triggered: nobody has to remember what changed. Opening a version's
// file is a second step, so that listing stays cheap.
//
// To add one: write `sources/<name>.cc`, and add its line to `sources/builtin.cc`, which chooses by
// the path or URL.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/names.h"
#include "core/engine.h"
#include "core/model_config.h"

namespace sluice {

struct WantedVersion {
  VersionName name;
  std::string location;     // of its file: the source's own, never shown to users
  std::string directory;    // of the files that belong to it
  std::string fingerprint;  // changes when the files do
  // Its files say that they are all there (a manifest); else they must stay as they are for a while
  // before they are believed to be.
  bool complete = false;
  std::string problem;  // why it cannot be served, or empty
};

struct WantedModel {
  ModelName name;
  ModelConfig config;
  std::string fingerprint;  // changes when the configuration does
  std::string problem;      // a broken model.yaml, say
  std::vector<std::string> warnings;
  std::vector<WantedVersion> versions;  // any order
};

// Thread-safety: `list` by one thread at a time, `open` and its two kinds by any beside it.
class Source {
 public:
  virtual ~Source() = default;
  virtual Result<std::vector<WantedModel>> list() = 0;
  // Errors: kUnavailable when another try may go better (the files are being changed).
  virtual Result<ModelFile> open(const WantedVersion& version) = 0;
  // The two kinds are for a source whose files are far. `open_near` waits for no network: nothing
  // where files have to be fetched first. `open_far` fetches them, which may take hours, and gives
  // up (`stopped`) soon after `abandoned` has become true, or the version has gone.
  virtual Result<std::optional<ModelFile>> open_near(const WantedVersion& version) {
    SLUICE_TRY(auto file, open(version));
    return std::optional(std::move(file));
  }
  virtual Result<ModelFile> open_far(const WantedVersion& version,
                                     const std::atomic<bool>& abandoned) {
    (void)abandoned;
    return open(version);
  }
  // Calls `changed` from any thread soon after something has changed, as far as that can be known;
  // it is a hint to look earlier than planned.
  virtual void watch(const std::function<void()>& changed) { (void)changed; }
};

}  // namespace sluice
