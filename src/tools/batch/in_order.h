// Parts are answered side by side, and their rows are written one part after the other.
//
// Thread-safety: any number of threads.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <limits>
#include <map>
#include <mutex>

#include "base/error.h"
#include "tools/batch/counts.h"
#include "tools/batch/journal.h"
#include "tools/batch/output_rows.h"
#include "tools/batch/part_run.h"

namespace sluice::tools::batch {

class InOrder {
 public:
  // At most `most_waiting` parts wait for one before them. All must outlive it.
  InOrder(std::size_t most_waiting, Journal& journal, OutputRows& rows, Counts& counts)
      : most_waiting_(most_waiting), journal_(journal), rows_(rows), counts_(counts) {}

  // The part, whose number in the job is `index`, is written when all before it, by `place`, are:
  // by this thread, or by the one that brings the part that is missing. Waits where too many wait
  // already. Errors: of any part that this thread wrote; kCancelled when one before it failed.
  Result<void> write(std::size_t place, std::size_t index, PartAnswered part);

  // Nothing is written from this part on; those before it are.
  void give_up(std::size_t place);

 private:
  struct Waiting {
    std::size_t index;
    PartAnswered part;
  };

  bool is_next() const { return !waiting_.empty() && waiting_.begin()->first == next_; }
  void fail_at(std::size_t place);
  Result<void> write_next(Waiting& one);

  const std::size_t most_waiting_;
  Journal& journal_;  // the writing thread's, as the rows are
  OutputRows& rows_;
  Counts& counts_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::size_t, Waiting> waiting_;  // by place; guarded by the mutex, as all below
  std::size_t next_ = 0;
  std::size_t failed_ = std::numeric_limits<std::size_t>::max();  // the first that did
  bool writing_ = false;
};

}  // namespace sluice::tools::batch
