// The folder in which an output comes to be, part by part, beside the place that it will have.
//
//   manifest.json    what is made of what: written once, whole
//   rows             the rows of the finished parts, in their order (tools/batch/output_rows.h)
//   footers          of Parquet: the footer of each part's own file, one after the other
//   done.jsonl       a line for each finished part, with its place and the SHA-256 of its rows
//   part-00000007.bad   the bad rows of one, where it has any
//
// A part whose rows are not what its line says, as after a power cut, counts as never made, and so
// do those behind it: that is why no part waits for the disk. A line that was cut off is forgotten.
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace sluice::tools::batch {

struct PartDone {
  std::uint64_t rows = 0;  // that were read
  std::uint64_t written = 0;
  std::uint64_t bad = 0;
  std::uint64_t not_finite = 0;  // of those written: whose answer is not a finite number
  std::uint64_t offset = 0;      // of its rows, in the file of all
  std::uint64_t bytes = 0;
  std::uint64_t footer_offset = 0;  // likewise, among the footers
  std::uint64_t footer_bytes = 0;
  std::string sha256;      // of its rows
  std::string bad_sha256;  // of the bad rows' file; empty: there is none
};

class Journal {
 public:
  // A new folder, in place of one that nobody is to go on with. Errors: kAborted/`busy` where
  // another process works in it; kUnavailable/`unwritable`.
  static Result<Journal> begin(const std::filesystem::path& folder, const nlohmann::json& manifest);
  // A folder that is there, with the parts that are what their lines say. Errors:
  // kNotFound/`nothing_to_resume`; kInvalidArgument/`bad_manifest`; kAborted/`busy`.
  static Result<Journal> open(const std::filesystem::path& folder);

  const nlohmann::json& manifest() const { return manifest_; }
  const std::map<std::size_t, PartDone>& done() const { return done_; }
  // Parts that had a line and count as never made.
  std::size_t spoilt() const { return spoilt_; }

  // Both stand behind the last part.
  const Fd& rows() const { return *rows_; }
  const Fd& footers() const { return *footers_; }
  std::filesystem::path rows_file() const { return folder_ / "rows"; }
  std::filesystem::path bad_rows(std::size_t index) const;

  // Notes the next part, whose rows are in `rows` already. `footer` goes to the others, and `bad`
  // into a file of its own.
  Result<void> add(std::size_t index, PartDone done, std::string_view footer,
                   const std::string& bad);
  // All of it is on the disk when this returns.
  Result<void> flush() const;
  // With everything in it.
  void remove();

 private:
  Journal() = default;
  Result<void> lock();
  Result<void> open_files();
  Result<void> read_done();
  bool holds(std::size_t index, const PartDone& done) const;

  std::filesystem::path folder_;
  nlohmann::json manifest_;
  std::map<std::size_t, PartDone> done_;
  std::size_t spoilt_ = 0;
  Fd directory_;
  Fd lines_;
  // Others borrow these.
  std::unique_ptr<const Fd> rows_;
  std::unique_ptr<const Fd> footers_;
  std::uint64_t footers_end_ = 0;
};

// A sentence for each thing that differs: "the model", "option --where" …; empty: nothing does.
// `times`: whether it counts when a file was changed.
std::string difference(const nlohmann::json& before, const nlohmann::json& now, bool times);

// Of a file's bytes, up to its end where that comes first. Errors: kUnavailable/`unreadable`.
Result<std::string> sha256_of(const Fd& fd, std::uint64_t offset = 0,
                              std::uint64_t length = std::numeric_limits<std::uint64_t>::max());
Result<void> write_all(const Fd& fd, std::string_view text);

}  // namespace sluice::tools::batch
