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
#include <optional>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "clients/duckdb_files.h"
#include "tools/batch/journal.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {

// A part's own file, and what of it becomes rows of the output.
struct MadePart {
  const Fd& fd;
  std::string name;  // for messages
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  std::string footer;  // of Parquet: as it is written in the file
};
Result<MadePart> look_at_part(clients::TableFormat format, const Fd& fd, std::string name);

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
  void begin_writing(std::uint64_t end);

  clients::TableFormat format_;
  const Fd& to_;
  std::optional<ParquetJoin> parquet_;  // not for lines
  std::uint64_t begun_ = 0;             // bytes that the disk was asked to write
};

// `file` takes the place of `output`; with `keep` it has both names. Answers its bytes.
Result<std::uint64_t> put_in_place(const std::filesystem::path& file,
                                   const std::filesystem::path& output, bool keep);

}  // namespace sluice::tools::batch
