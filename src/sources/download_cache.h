// Where downloaded versions lie on the disk.
//
//   <root>/<store>/listing.json       what the store had when it was last asked
//   <root>/<store>/<entry>/reserved   bytes that it will take, until it is whole
//   <root>/<store>/<entry>/part/      files that are being fetched
//   <root>/<store>/<entry>/pieces     what is there of them
//   <root>/<store>/<entry>/files/     all of them, checked
//   <root>/<store>/<entry>/record.json  and their digests
//
// An entry is named by the keys, sizes and ETags of its objects, so that its content never changes.
// `part` is renamed to `files` when all is there and checked: an entry is whole or not there.
// Whoever reads one holds a shared lock on its directory, whoever fills or removes it an exclusive
// one, so that any number of processes may use the same cache. Room is made under a lock on the
// root, by one at a time, who leaves a reservation: files that are being fetched have holes, and
// the next would find room where there is none.
//
// Thread-safety: any number of threads and processes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "core/source.h"
#include "sources/download.h"

namespace sluice::sources {

class DownloadCache {
 public:
  // `store` is a name of its own for what the URL says. Errors: kFailedPrecondition where the
  // directory cannot be made.
  static Result<std::unique_ptr<DownloadCache>> open(const std::filesystem::path& root,
                                                     std::uint64_t limit, const std::string& store);

  // The last listing, as `keep_listing` got it.
  std::optional<std::string> listing() const;
  // False: it cannot be kept.
  bool keep_listing(const std::string& text) const;

  // A locked entry.
  struct Entry {
    std::string id;
    std::filesystem::path directory;
    std::shared_ptr<const Fd> lock;
    bool whole = false;  // all there; the lock is shared. Else it is exclusive
  };
  // One that is whole. Nothing: it is not there, or another is about to change it.
  std::optional<Entry> find(const std::string& id) const;
  // It is in use, though nobody has it locked: room is made of others first.
  void touch(const std::string& id) const;
  // Waits while another fills it. Errors: kCancelled when `wanted` says no; those of the disk.
  Result<Entry> enter(const std::string& id, const std::function<bool()>& wanted) const;

  // Removes the entries that were used longest ago (cache_room.h) until `filled` fits with so many
  // bytes, and reserves them. Errors: kResourceExhausted/`no_room` for more than the cache may
  // have, kUnavailable/`no_room` while the rest is in use; those of the disk.
  Result<void> make_room(const Entry& filled, std::uint64_t bytes) const;
  // The directory that an entry's files are fetched into. What is reserved stays so.
  Result<std::filesystem::path> begin(const Entry& entry) const;
  // Starts a download anew: what came was wrong.
  void discard(const Entry& entry) const;
  // Makes place for another entry of the same name; whoever reads this one goes on.
  void set_aside(const Entry& entry) const;
  // Everything is there and was checked; the entry is whole from now on.
  Result<void> complete(Entry& entry, const std::vector<Downloaded>& files);
  // Checks the files of an entry that is whole, once in a process. False: they are damaged, or not
  // all of these objects are there that can be files.
  bool check(const Entry& entry, const std::vector<Object>& objects);
  // Opens the version's files in an entry that is whole; for as long as one of them is open, the
  // entry is not removed.
  static Result<ModelFile> read(const Entry& entry, const WantedVersion& version);

 private:
  DownloadCache(std::filesystem::path root, std::filesystem::path home, std::uint64_t limit)
      : root_(std::move(root)), home_(std::move(home)), limit_(limit) {}

  const std::filesystem::path root_;
  const std::filesystem::path home_;  // of this store
  const std::uint64_t limit_;
  std::mutex mutex_;
  std::set<std::string> checked_;  // ids; guarded by mutex_
};

}  // namespace sluice::sources
