// The columns that are added to a table: the prediction, how sure the model is, and on request its
// outputs, what its guard says and why it answers so.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <string>
#include <vector>

#include "clients/duckdb.h"
#include "core/servable.h"
#include "tools/batch/schema.h"

namespace sluice::tools::batch {

struct AnswerOptions {
  bool all_outputs = false;
  bool guard = false;
  bool explain = false;
};

struct AnswerColumn {
  enum class Kind : std::uint8_t {
    kPrediction,
    kConfidence,
    kLabel,        // what the predicted class is called
    kOutput,       // one of the signature's, as it is
    kGuard,        // sentences, or null
    kExplanation,  // an object in JSON
  };
  Kind kind = Kind::kPrediction;
  std::string name;
  clients::CellType cell{};
  std::string type;  // in the file
  std::size_t output = 0;
  std::size_t width = 1;  // of a row, where it is no list
};

struct Answers {
  std::vector<AnswerColumn> columns;
  bool classified = false;
  AnswerOptions options;

  // Of the table that `write_answer` fills: `keep` and these.
  std::vector<clients::NewColumn> table() const;
  // Whether a column of the input gives way to one of these.
  bool replaces(std::string_view column) const;
};

// What the version's predictions look like, by its signature alone: the same in every part, on
// every machine. Errors: the version's.
Result<Answers> plan_answers(const Servable& servable, const Schema& schema,
                             const AnswerOptions& options);

// What is said of one row beside its outputs.
struct RowNotes {
  std::string guard;        // empty: nothing
  std::string explanation;  // empty: none
};

// `count` rows of an answered request from `first` on. `notes`: one for each of its rows, or none.
// Errors: kInvalidArgument/`wrong_answer` where they are not what was planned.
Result<void> write_answers(clients::TableWriter& table, const Answers& answers,
                           const Request& request, std::size_t first, std::size_t count,
                           std::span<const RowNotes> notes);
// Rows without answers, which stay (`keep`) or are left out.
Result<void> write_nothing(clients::TableWriter& table, const Answers& answers, std::size_t rows,
                           bool keep);

}  // namespace sluice::tools::batch
