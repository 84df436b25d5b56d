// Fetches objects into a directory: several at once, large ones in pieces over several connections,
// and checks what came.
//
// What was fetched before the process ended stays: notes of what has arrived lie beside the files,
// and a later download of the same objects goes on from there. Nothing is believed without the
// digest of the whole file, which the calling thread computes while the rest still comes.
//
// Thread-safety: one download is one thread's; any number beside each other, in directories of
// their own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "sources/object_digest.h"
#include "sources/object_store.h"

namespace sluice::sources {

struct DownloadPlan {
  std::string title;                // "model fraud version v2", for progress in the log
  std::filesystem::path directory;  // exists; files go below it
  std::filesystem::path notes;      // of what has arrived
  std::vector<Object> objects;      // with safe keys
  int connections = 4;
  std::uint64_t piece = std::uint64_t{48} << 20;
};

struct Downloaded {
  std::string key;
  std::uint64_t size = 0;
  std::string digest;  // ObjectDigest's record
};

class Download {
 public:
  // `wanted` is asked five times a second, on a thread of its own; false breaks off.
  Download(ObjectStore& store, DownloadPlan plan, std::function<bool()> wanted);

  // Errors: the store's; kCancelled when broken off; kUnavailable/`damaged` where a digest is
  // wrong: then nothing that came may be kept. kUnavailable/`disk_full`.
  Result<std::vector<Downloaded>> run();
  // Bytes that have come by now. Of any thread.
  std::uint64_t received() const { return received_; }

 private:
  struct Piece {
    std::size_t object;
    Range range;
    bool done = false;
    std::uint64_t arrived = 0;  // bytes at its front that may be digested
    std::uint64_t noted = 0;    // of them; its thread's own
  };
  struct File {
    std::shared_ptr<const Fd> fd;
    std::unique_ptr<std::mutex> writing = std::make_unique<std::mutex>();  // nothing else with it
    bool etag_counts = true;
  };

  Result<void> open_files();
  void cut_in_pieces();
  Piece* piece_at(std::uint64_t object, std::uint64_t offset);
  void read_notes();
  void note(const Piece& piece, std::string_view remark);
  void work();
  Result<Fetched> fetch(std::size_t index, std::span<std::byte> buffer);
  void tell_arrived(std::size_t index, std::uint64_t bytes);
  void finish_piece(std::size_t index, const Result<Fetched>& fetched);
  void watch(const std::stop_token& done);
  Result<void> go_on();
  std::optional<std::uint64_t> wait_for(std::size_t index, std::uint64_t at);
  void tell_progress();
  Result<std::vector<Downloaded>> check();
  void tell_unchecked() const;
  Result<Downloaded> check_object(std::size_t index, std::size_t& piece);
  Result<void> judge(const Object& object, const ObjectDigest::Verdict& verdict,
                     std::span<const std::byte> bytes);
  Result<bool> comes_the_same_again(const Object& object, std::span<const std::byte> bytes);
  Result<void> digest_piece(std::size_t index, const FileBytes& file, ObjectDigest& digest);

  ObjectStore& store_;
  const DownloadPlan plan_;
  const std::function<bool()> wanted_;
  std::vector<File> files_;
  Fd notes_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> received_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::condition_variable_any watching_;
  std::vector<Piece> pieces_;   // `done` and `arrived` guarded by mutex_
  std::optional<Error> error_;  // the first; guarded by mutex_

  std::uint64_t total_ = 0;
  // Of the calling thread.
  bool all_checked_ = true;
  std::vector<std::string> unchecked_;  // names, for people
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point told_;  // of the watcher
};

}  // namespace sluice::sources
