// The rows of a part in their order, good and bad: answered a batch at a time, and written into the
// table of answers, a row of it for each of the part that could be read.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <string>

#include "tools/batch/broken_lines.h"
#include "tools/batch/counts.h"
#include "tools/batch/gather.h"
#include "tools/batch/plan.h"

namespace sluice::tools::batch {

class Answering {
 public:
  // `binding`: the plan's, or one that reads the same fields in another way. `broken`: lines of the
  // part that are no rows of what is added, ascending. All are borrowed.
  Answering(const Plan& plan, const Binding& binding, const Part& part,
            std::span<const BrokenLine> broken, clients::TableWriter table, Counts& counts);

  // Columns of the chunk: the binding's fields, and whether the row stays. Errors: the model's and
  // the table's; kInvalidArgument/`bad_row` for the first bad row where those end the run.
  Result<void> add(const clients::SqlChunk& chunk);
  Result<void> finish();
  // Takes back what it counted: the part is begun again.
  void forget();

  std::uint64_t rows() const { return seen_; }  // broken lines are among them
  std::uint64_t written() const { return written_; }
  std::uint64_t bad() const { return bad_; }
  // Of those that were written: whose prediction or confidence is not a finite number.
  std::uint64_t not_finite() const { return not_finite_; }
  const std::string& bad_lines() const { return bad_lines_; }

 private:
  enum class State : std::uint8_t {
    kAsked,
    kBad,
    kLeftOut,
    kBroken,  // as kBad, but there is no place for it in the table
  };
  struct Waiting {
    State state;
    std::size_t rows;    // one after the other
    std::string reason;  // of bad ones
  };

  // Until the model is asked.
  std::size_t room() const { return plan_.options.batch_size - gather_.rows(); }
  Result<void> add_broken();
  Result<void> add_row(const clients::SqlChunk& chunk, std::size_t row);
  Result<void> wait(Waiting next);
  Result<void> flush();
  // Those at the front that the model is not asked about.
  Result<void> write_those_not_asked();
  // The next `rows` of the line have their answers.
  void take_asked(std::size_t rows);
  Result<void> write_good(const Request& request, std::span<const RowNotes> notes);
  // The next row.
  Result<void> write_bad(const std::string& reason, bool has_place);

  const Plan& plan_;
  const Part& part_;
  std::span<const BrokenLine> broken_;  // those that did not have their turn
  clients::TableWriter table_;
  Counts& counts_;
  Gather gather_;
  Predictor::Sink sink_;
  std::deque<Waiting> line_;
  std::size_t waiting_ = 0;  // rows in it
  std::uint64_t added_ = 0;  // rows that came so far, in the part
  std::uint64_t place_ = 0;  // of the next row that is written, in the part
  std::uint64_t seen_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t bad_ = 0;
  std::uint64_t not_finite_ = 0;
  std::string bad_lines_;
};

}  // namespace sluice::tools::batch
