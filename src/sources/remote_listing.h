// From what a store has to what is wanted of it, step by step, without a network or a clock.
//
// Thread-safety: one thread at a time.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "core/source.h"
#include "sources/file_tree.h"
#include "sources/manifest.h"
#include "sources/object_store.h"

namespace sluice::sources {

// Texts of configuration files by key, each with the ETag that it was read for.
struct KnownText {
  std::string etag;
  std::string text;
};
using KnownTexts = std::map<std::string, KnownText>;

// A version as a listing has it.
struct Listed {
  std::string fingerprint;
  // The files that its steps name, where it is a pipeline without a directory of its own.
  std::vector<std::string> parts;
};

// One that is done.
struct Listing {
  std::vector<Object> objects;
  std::vector<WantedModel> models;  // what is believed of it
  // What the versions really are in it, by `key_of`: one that is held back is another there.
  std::map<std::string, Listed> versions;
  bool one_of_many = false;  // what lies beside the file that is opened may be other models
};

std::string key_of(const WantedVersion& version);
void note_versions(Listing& listing, const FileTree& tree, const std::vector<WantedModel>& models);
// Whether it has this version as it is here.
bool has_still(const Listing& listing, const WantedVersion& version);

// A listing with its texts, as the cache keeps it.
std::string write_listing(const std::vector<Object>& objects, const KnownTexts& texts);
// False where that is not what `write_listing` wrote.
bool read_kept_listing(const std::string& text, std::vector<Object>& objects, KnownTexts& texts);

// The objects that a version consists of: its directory's and its file. Where that is the root,
// what lies in folders is left out unless a manifest may name it or a step does; where it holds
// other models as well (`flat`), there are the file and what is called like it. `parts`: of a
// pipeline there, the files that its steps name.
std::vector<Object> objects_of(const std::vector<Object>& objects, const WantedVersion& version,
                               bool flat, const std::vector<std::string>& parts);

// Whether there is another file of this one's ending at the top. What has another ending may be a
// part of the same model: config.json, whatever engines read JSON.
bool has_another_like(const std::vector<Object>& objects, const std::string& file);

// Whether what lies beside the file that is opened (empty: a directory is) may be other models.
bool is_one_of_many(const Listing& listing, const std::string& file);

// What a version's entry in the cache is called: by all that it consists of. `manifest`: its own,
// which need not be among them; may be null.
std::string entry_id(const std::vector<Object>& objects, const Object* manifest);

// Gives the version's objects the digests that its manifest says. `whole`: it is about this version
// alone, and all of it. Errors: kUnavailable/`unfinished` where that and the objects differ.
// `directory`: the manifest's; `model`: the version's own file, which must be in it.
Result<void> heed_manifest(const std::vector<ManifestLine>& lines, const std::string& directory,
                           const std::string& model, bool whole, std::vector<Object>& objects);

// Holds back versions that are still being uploaded.
class Settling {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit Settling(std::chrono::milliseconds settle) : settle_(settle) {}

  // `models` is what a listing that began at `now` has; what is answered is what to believe of it.
  // All of the first is believed.
  std::vector<WantedModel> believe(std::vector<WantedModel> models, TimePoint now);
  // Something was held back: another listing after `settle` may show it.
  bool waits() const { return waits_; }

 private:
  struct Seen {
    std::string fingerprint;
    TimePoint since;
  };
  void keep_believed(const std::string& model, std::vector<WantedVersion>& versions,
                     std::map<std::string, WantedVersion>& believed) const;

  const std::chrono::milliseconds settle_;
  std::map<std::string, Seen> seen_;               // by model and version
  std::map<std::string, WantedVersion> believed_;  // by the same
  bool first_ = true;
  bool waits_ = false;
};

}  // namespace sluice::sources
