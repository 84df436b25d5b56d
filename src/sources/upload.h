// Sends a file to a store: a small one at once, a large one in parts, several at a time.
//
// Nobody sees anything of an object before all of it is there, and nothing is left in the store
// where an upload fails or is stopped. What ends the process leaves a note beside the file: the
// next upload of the same file to the same place goes on with the parts that the store has, and
// `drop_upload` gives them up.
//
// What the store says that it got (an ETag that is an MD5) is held against what was sent, part by
// part, and the object is looked at afterwards.
//
// Thread-safety: one upload is one thread's; any number beside each other, with notes of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "sources/writable_store.h"

namespace sluice::sources {

struct UploadPlan {
  std::filesystem::path file;
  std::string key;
  std::filesystem::path notes;    // of parts that are there
  std::optional<Object> known{};  // what the store has there: if that is the same nothing is sent
  int connections = 4;
  // Of each part, at least; a file that is no larger is sent at once.
  std::uint64_t part = std::uint64_t{16} << 20;
};

struct Uploaded {
  std::uint64_t size = 0;
  std::string etag;
};

// S3's own limits: an object has at most so many parts, and so many bytes.
inline constexpr std::uint64_t kMostParts = 10'000;
inline constexpr std::uint64_t kLargestObject = std::uint64_t{5} << 40;

// Of each part but the last: `least`, or whole mebibytes where there would be too many.
std::uint64_t part_size_for(std::uint64_t size, std::uint64_t least);

class Upload {
 public:
  // `sent` is increased by what has come to be in the store.
  Upload(WritableStore& store, UploadPlan plan, std::atomic<std::uint64_t>& sent,
         const std::atomic<bool>& stop);

  // Errors: the store's; kCancelled when stopped; kUnavailable/`damaged` where the store has got
  // something else again and again; kUnavailable/`unreadable`; kInvalidArgument/`too_large`.
  Result<Uploaded> run();

 private:
  struct Part {
    std::string md5;  // hexadecimal digits
    std::string etag;
  };

  Result<Stored> at_once();
  Result<Stored> in_parts();
  Result<bool> is_known();
  Result<void> begin();
  bool read_notes();
  void write_note(const std::string& line);
  void work();
  Result<void> send_part(int number);
  Result<Stored> finish();
  Result<Stored> seek_finished(Error error);
  void give_up();
  Result<Payload> payload_of(std::uint64_t offset, std::uint64_t length) const;
  std::string digest_of_parts() const;

  WritableStore& store_;
  const UploadPlan plan_;
  std::atomic<std::uint64_t>& sent_;
  const std::atomic<bool>& stop_;
  Fd fd_;
  std::uint64_t size_ = 0;
  std::uint64_t part_ = 0;
  int count_ = 0;
  std::string id_;
  bool went_on_ = false;  // with an upload of an earlier process
  Fd notes_;
  std::atomic<int> next_{1};
  std::atomic<bool> ending_{false};  // stopped, or one part has failed

  std::mutex mutex_;
  std::map<int, Part> done_;    // by number; guarded by mutex_
  std::optional<Error> error_;  // the first; guarded by mutex_
};

// Gives up what an earlier process has left under way, by its note. Errors: the store's.
Result<void> drop_upload(WritableStore& store, const std::filesystem::path& notes);

}  // namespace sluice::sources
