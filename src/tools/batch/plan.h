// All that is fixed before the first part is answered: what is read, how rows become the model's
// inputs, and what is written.
//
// Thread-safety: immutable once it is made.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "clients/duckdb_session.h"
#include "core/servable.h"
#include "tools/batch/answers.h"
#include "tools/batch/binding.h"
#include "tools/batch/input.h"
#include "tools/batch/parts.h"
#include "tools/batch/predictor.h"
#include "tools/batch/schema.h"

namespace sluice::tools::batch {

// What happens with a row that the model cannot take.
enum class OnError : std::uint8_t {
  kFail,  // it ends the run
  kNull,  // it gets no prediction
  kSkip,  // it is left out
};

// How a part and its answers become one table.
enum class Writing : std::uint8_t {
  kWhole,         // all of it is written anew
  kGroupsBeside,  // new columns of Parquet beside the old ones, whose bytes stay as they are
  kLinesBeside,   // new fields of CSV behind the old ones, likewise
};

struct Shard {
  std::size_t index = 0;  // from 0
  std::size_t count = 1;
};

struct JobOptions {
  std::string input;
  std::optional<Input> found;  // what it is, where that is known; else it is looked for
  std::filesystem::path output;
  std::size_t batch_size = 10'000;
  unsigned workers = 1;
  AnswerOptions answers;
  std::vector<std::string> columns;            // the model's, in order; empty: by name
  std::map<std::string, std::string> mapping;  // feature → column
  std::string where;                           // of SQL; empty: all rows
  OnError on_error = OnError::kFail;
  bool resume = false;
  bool keep_parts = false;  // they stay beside the output until somebody else removes them
  Shard shard;
  std::string model;  // says which it is: the same on every machine, another for another model
};

// Of CSV, where the model takes nothing but floating numbers: how plain lines are read.
struct PlainReading {
  Binding binding;                  // the plan's, of numbers instead of texts
  std::size_t columns = 0;          // of the table
  std::vector<std::size_t> wanted;  // of each field: which of them
};

struct Plan {
  JobOptions options;
  Input input;
  Parts parts;
  Schema schema;
  Binding binding;
  std::optional<PlainReading> plain;
  Answers answers;
  clients::TableFormat output{};
  std::shared_ptr<const Predictor> predictor;
  Writing writing = Writing::kWhole;

  // The input's columns that stay, by their places in the schema.
  std::vector<std::size_t> kept() const;
  nlohmann::json manifest() const;
};

// The input's columns. `typed`: what values their texts can be is found out too, for which every
// part is read. `may_be_broken`: lines that are no rows do not count.
Result<Schema> read_schema(const clients::Duckdb& engine, const Input& input, const Parts& parts,
                           bool typed, bool may_be_broken, unsigned workers,
                           const std::atomic<bool>& stop);

// How a manifest tells an object of a store: by what is the same wherever its copy lies.
nlohmann::json identity_of(const std::filesystem::path& name, std::uint64_t bytes,
                           const std::string& version);

// Reads what must be known of the whole input: its parts, and for text its types. Errors: the
// input's, the binding's, the answers', and kInvalidArgument/`bad_sql` for the filter. `stop`: it
// is given up (kCancelled) when this becomes true.
Result<Plan> make_plan(const clients::Duckdb& engine, std::shared_ptr<const Servable> servable,
                       JobOptions options, const std::atomic<bool>& stop);

}  // namespace sluice::tools::batch
