// Which entries of the cache are in use without anybody holding them: a model that runs has its
// weights in memory, and may have been loaded long ago. They are to look younger than those of
// versions that were retired since, so that room is made of these.
//
// Thread-safety: any number of threads.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/source.h"

namespace sluice::sources {

class EntriesInUse {
 public:
  // This entry was opened for this version.
  void opened(const WantedVersion& version, const std::string& entry);
  // The entries of opened versions that `models` still wants.
  std::vector<std::string> wanted(const std::vector<WantedModel>& models);

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> entries_;  // by version and fingerprint; guarded by mutex_
};

}  // namespace sluice::sources
