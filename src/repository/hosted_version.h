// One version's model in a process of its own (core/model_host.h), started again when it ends.
//
// Its file is opened anew through the source each time, so that nothing is kept for it meanwhile;
// it must be the one that the version was loaded from. A process that has ended is started again
// after nine times the processor's time that starting took, 100 ms at least, which doubles with
// each end in a row up to half a minute. A run that was answered ends the row; the fifth end in a
// row is the last.
//
// Thread-safety: that of ModelHost (core/model_host.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "core/model_host.h"
#include "repository/probe.h"

namespace sluice::repository {

// Which file it is, without keeping it. A file of the source's own, which nobody changes (a
// download), is known by its size: reading all of it takes too long.
struct FileIdentity {
  std::uint64_t size = 0;
  std::optional<std::uint64_t> hash;

  static FileIdentity of(const ModelFile& file);
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct HostedFile {
  std::function<Result<ModelFile>()> open;
  FileIdentity loaded;  // by the server
  Trial trial;          // `abandoned` is not looked at
};

// What outlives it: `probe`, and what `file.open` needs.
std::shared_ptr<const ModelHost> make_version_host(const Probe& probe, HostedFile file);

}  // namespace sluice::repository
