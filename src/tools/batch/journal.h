// The folder in which an output comes to be, part by part, beside the place that it will have.
//
//   manifest.json    what is made of what: written once, whole
//   done.jsonl       a line for each part that is finished, with the SHA-256 of its file
//   part-00000007    the parts
//   part-00000007.bad   the bad rows of one, where it has any
//
// A part is on the disk before its line is, so that whatever ends the program (a crash, a power
// cut), each part is finished or is not there. A line that was cut off is forgotten.
//
// Thread-safety: `finish` from any thread; everything else by one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools::batch {

struct PartDone {
  std::uint64_t rows = 0;  // that were read
  std::uint64_t written = 0;
  std::uint64_t bad = 0;
  std::uint64_t bytes = 0;
  std::string sha256;
  std::string bad_sha256;  // of the bad rows' file; empty: there is none
};

class Journal {
 public:
  // A new folder, in place of one that nobody is to go on with. Errors: kAborted/`busy` where
  // another process works in it; kUnavailable/`unwritable`.
  static Result<Journal> begin(const std::filesystem::path& folder, const nlohmann::json& manifest);
  // A folder that is there, with the parts whose files are what their lines say. Errors:
  // kNotFound/`nothing_to_resume`; kInvalidArgument/`bad_manifest`; kAborted/`busy`.
  static Result<Journal> open(const std::filesystem::path& folder);

  const nlohmann::json& manifest() const { return manifest_; }
  const std::map<std::size_t, PartDone>& done() const { return done_; }
  // Parts that had a line and are not what it says any more; they count as never made.
  std::size_t spoilt() const { return spoilt_; }

  std::filesystem::path part(std::size_t index) const;
  std::filesystem::path bad_rows(std::size_t index) const;
  // The part's draft becomes the part, on the disk, and then its line is written. `bad`: of the bad
  // rows' file, which is written here.
  Result<void> finish(std::size_t index, PartDone done, const Fd& draft,
                      const std::filesystem::path& name, const std::string& bad);
  // With everything in it.
  void remove();

 private:
  Journal() = default;
  Result<void> lock();
  Result<void> read_done();
  bool holds(std::size_t index, const PartDone& done) const;

  std::filesystem::path folder_;
  nlohmann::json manifest_;
  std::map<std::size_t, PartDone> done_;
  std::size_t spoilt_ = 0;
  Fd directory_;
  Fd lines_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
};

// A sentence for each thing that differs: "the model", "option --where" …; empty: nothing does.
// `times`: whether it counts when a file was changed.
std::string difference(const nlohmann::json& before, const nlohmann::json& now, bool times);

// Of a file's bytes. Errors: kUnavailable/`unreadable`.
Result<std::string> sha256_of(const Fd& fd);
Result<void> write_all(const Fd& fd, std::string_view text);

}  // namespace sluice::tools::batch
