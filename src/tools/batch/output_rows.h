// The rows of finished parts, one part after the other, in the file that becomes the output.
//
// Every byte is written once: lines as they are, of Parquet the columns, with one footer for all at
// the end. A reader sees the output whole or not at all.
//
// Errors, of everything: kUnavailable/`unwritable`, `unreadable`; kInvalidArgument/`bad_table`
// where parts do not fit each other.
//
// Thread-safety: one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "clients/duckdb_files.h"
#include "tools/batch/file_bytes.h"
#include "tools/batch/journal.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {

// Rows of a part, as they are to be in the output.
struct MadePart {
  std::vector<Piece> pieces;
  std::string footer;                           // of Parquet: that of a file of these rows alone
  std::vector<std::shared_ptr<const Fd>> keep;  // what the pieces are of

  std::uint64_t bytes() const;
};
// Of a file of the part's own. Errors also: of reading it.
Result<MadePart> part_of(clients::TableFormat format, std::shared_ptr<const Fd> fd);
// Of the rows themselves.
Result<std::string> sha256_of(const MadePart& part);

class OutputRows {
 public:
  // Writes to `to`, which is empty and stays open as long as this.
  OutputRows(clients::TableFormat format, const Fd& to);

  // Behind what is there. Answers where its rows begin in the file.
  Result<std::uint64_t> add(const MadePart& part);
  // The parts of a journal whose rows are in this very file already, as `add` put them there.
  Result<void> recall(const Journal& journal);
  // All parts of another journal.
  Result<void> add(const Journal& journal);

  // The footer, where there is one. Then it is on the disk.
  Result<void> finish();

 private:
  Result<std::uint64_t> end() const;  // where the next part goes
  Result<void> note_footer(std::string_view text, std::uint64_t bytes);
  void begin_writing(std::uint64_t end);

  const Fd& to_;
  std::optional<ParquetJoin> parquet_;  // makes the footer; not for lines
  std::uint64_t begun_ = 0;             // bytes that the disk was asked to write
};

// `file` takes the place of `output`; with `keep` it has both names. Answers its bytes.
Result<std::uint64_t> put_in_place(const std::filesystem::path& file,
                                   const std::filesystem::path& output, bool keep);

}  // namespace sluice::tools::batch
