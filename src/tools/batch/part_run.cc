#include "tools/batch/part_run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>

#include "base/json_writer.h"
#include "tools/batch/gather.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {
namespace {

using clients::DuckdbSession;
using clients::sql_file;
using clients::sql_name;
using clients::SqlSubject;
using clients::TableFormat;

constexpr const char* kTable = "sluice_answers";
constexpr std::size_t kLongLine = 10'000;  // rows that wait, whether they are asked for or not

// Rows in their order, good and bad, answered when there are enough of them.
class Answering {
 public:
  Answering(const Plan& plan, const Part& part, clients::TableWriter table, Counts& counts)
      : plan_(plan),
        part_(part),
        table_(std::move(table)),
        counts_(counts),
        gather_(plan.predictor->servable().signature(), plan.binding) {
    sink_.good = [this](const Request& request, std::span<const RowNotes> notes) {
      return write_good(request, notes);
    };
    sink_.bad = [this](const std::string& reason) -> Result<void> {
      SLUICE_CHECK(write_those_not_asked());
      take_asked(1);
      return write_bad(reason);
    };
  }

  // Columns of the chunk: the binding's fields, and whether the row stays.
  Result<void> add(const clients::SqlChunk& chunk) {
    const std::size_t keep = plan_.binding.fields.size();
    const auto stays = [&](std::size_t row) {
      return !chunk.is_null(keep, row) && chunk.truths(keep)[row] != 0;
    };
    for (std::size_t row = 0; row < chunk.rows();) {
      if (!stays(row)) {
        SLUICE_CHECK(wait({State::kLeftOut, 1, {}}));
        ++row;
        continue;
      }
      std::size_t end = row + 1;
      const std::size_t most = std::min(chunk.rows() - row, room());
      while (end < row + most && stays(end)) ++end;
      if (const auto added = gather_.add_run(chunk, row, end - row); added > 0) {
        row += added;
        SLUICE_CHECK(wait({State::kAsked, added, {}}));
      } else {
        SLUICE_CHECK(add_row(chunk, row));
        ++row;
      }
    }
    return {};
  }

  Result<void> finish() {
    SLUICE_CHECK(flush());
    return table_.finish();
  }

  std::uint64_t rows() const { return seen_; }
  std::uint64_t written() const { return written_; }
  std::uint64_t bad() const { return bad_; }
  const std::string& bad_lines() const { return bad_lines_; }

 private:
  enum class State : std::uint8_t { kAsked, kBad, kLeftOut };
  struct Waiting {
    State state;
    std::size_t rows;    // one after the other
    std::string reason;  // of bad ones
  };

  // Until the model is asked.
  std::size_t room() const { return plan_.options.batch_size - gather_.rows(); }

  Result<void> add_row(const clients::SqlChunk& chunk, std::size_t row) {
    auto added = gather_.add(chunk, row);
    if (added == Gather::Added::kOther) {
      SLUICE_CHECK(flush());
      added = gather_.add(chunk, row);
    }
    if (added == Gather::Added::kGood) return wait({State::kAsked, 1, {}});
    return wait({State::kBad, 1, gather_.reason()});
  }

  Result<void> wait(Waiting next) {
    waiting_ += next.rows;
    const bool same = !line_.empty() && line_.back().state == next.state;
    if (same && next.state != State::kBad) {
      line_.back().rows += next.rows;
    } else {
      line_.push_back(std::move(next));
    }
    const bool full = room() == 0 || waiting_ >= std::max(4 * plan_.options.batch_size, kLongLine);
    return full ? flush() : Result<void>();
  }

  // Those at the front that the model is not asked about.
  Result<void> write_those_not_asked() {
    for (; !line_.empty() && line_.front().state != State::kAsked; line_.pop_front()) {
      const Waiting& first = line_.front();
      if (first.state == State::kBad) {
        SLUICE_CHECK(write_bad(first.reason));
      } else {
        SLUICE_CHECK(write_nothing(table_, plan_.answers, first.rows, false));
        place_ += first.rows;
      }
    }
    return {};
  }

  // The next `rows` of the line have their answers.
  void take_asked(std::size_t rows) {
    line_.front().rows -= rows;
    if (line_.front().rows == 0) line_.pop_front();
  }

  Result<void> write_good(const Request& request, std::span<const RowNotes> notes) {
    for (std::size_t row = 0; row < request.rows;) {
      SLUICE_CHECK(write_those_not_asked());
      const std::size_t count = std::min(request.rows - row, line_.front().rows);
      SLUICE_CHECK(write_answers(table_, plan_.answers, request, row, count, notes));
      take_asked(count);
      row += count;
      written_ += count;
      place_ += count;
    }
    return {};
  }

  Result<void> flush() {
    SLUICE_CHECK(plan_.predictor->answer(gather_.inputs(), gather_.rows(), sink_));
    SLUICE_CHECK(write_those_not_asked());
    counts_.rows_done += waiting_;
    seen_ += waiting_;
    waiting_ = 0;
    gather_.clear();
    return {};
  }

  // The next row.
  Result<void> write_bad(const std::string& reason) {
    const std::uint64_t place = place_++;
    const std::uint64_t row = part_.first_row + place + 1;
    if (plan_.options.on_error == OnError::kFail) {
      return invalid("bad_row", "row " + std::to_string(row) + " of the input: " + reason +
                                    "; correct it, or go on without such rows with --on-error null "
                                    "or --on-error skip");
    }
    ++bad_;
    ++counts_.bad;
    JsonWriter json(bad_lines_);
    json.begin_object().field("row", row);
    if (plan_.input.files.size() > 1) {
      const auto& file = plan_.input.files[part_.file].path;
      json.field("file", std::string_view(file.filename().native()));
      json.field("row_in_file", part_.row_in_file + place + 1);
    }
    json.field("reason", std::string_view(reason)).end_object();
    bad_lines_ += '\n';
    const bool keep = plan_.options.on_error == OnError::kNull;
    if (keep) ++written_;
    return write_nothing(table_, plan_.answers, 1, keep);
  }

  const Plan& plan_;
  const Part& part_;
  clients::TableWriter table_;
  Counts& counts_;
  Gather gather_;
  Predictor::Sink sink_;
  std::deque<Waiting> line_;
  std::size_t waiting_ = 0;  // rows in it
  std::uint64_t place_ = 0;  // of the next row that is written, in the part
  std::uint64_t seen_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t bad_ = 0;
  std::string bad_lines_;
};

// What the model takes of each row, and whether the row stays.
std::string question(const Plan& plan, const Fd& bytes, const InputFile& file) {
  const std::string table = raw_table(plan.schema, bytes, file);
  std::string fields;
  for (const auto& field : plan.binding.fields) fields += field.sql + ", ";
  if (plan.options.where.empty()) return "SELECT " + fields + "true FROM " + table;
  // The filter sees the columns' names and types, and nothing else.
  std::string inner;
  std::string outer;
  for (std::size_t i = 0; i < plan.binding.fields.size(); ++i) {
    const std::string name = sql_name("\x01" + std::to_string(i));
    inner += plan.binding.fields[i].sql + " AS " + name + ", ";
    outer += name + ", ";
  }
  for (std::size_t i = 0; i < plan.schema.raw.size(); ++i) {
    inner += typed_value(plan.schema, i) + " AS " + sql_name(plan.schema.typed[i].name) + ", ";
  }
  return "SELECT " + outer + "CAST((" + plan.options.where + "\n) AS BOOLEAN) FROM (SELECT " +
         inner.substr(0, inner.size() - 2) + " FROM " + table + ")";
}

// There is no NaN and no infinity in JSON: they are null there.
std::string finite_in_json(const std::string& value, const std::string& type) {
  const auto finite = [](const std::string& number) {
    return "CASE WHEN isfinite(" + number + ") THEN " + number + " END";
  };
  if (type == "FLOAT" || type == "DOUBLE") return finite(value);
  if (type == "FLOAT[]" || type == "DOUBLE[]")
    return "[" + finite("x") + " FOR x IN " + value + "]";
  return value;
}

std::string answer_value(const AnswerColumn& column, TableFormat format) {
  const std::string name = "a." + sql_name(column.name);
  const bool json = format == TableFormat::kJsonLines;
  std::string value = name;
  if (column.type != "JSON" || json) value = "CAST(" + name + " AS " + column.type + ")";
  if (json) value = finite_in_json(value, column.type);
  return value + " AS " + sql_name(column.name);
}

std::string answer_values(const Plan& plan) {
  std::string out;
  for (const auto& column : plan.answers.columns) {
    out += (out.empty() ? "" : ", ") + answer_value(column, plan.output);
  }
  return out;
}

std::string format_options(TableFormat format, bool first) {
  switch (format) {
    case TableFormat::kParquet: return " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)";
    case TableFormat::kCsv:
      return std::string(" (FORMAT csv, HEADER ") + (first ? "true" : "false") +
             ", USE_TMP_FILE false)";
    case TableFormat::kJsonLines: break;
  }
  return " (FORMAT json, ARRAY false, USE_TMP_FILE false)";
}

Result<void> write_whole(const Plan& plan, std::size_t index, DuckdbSession& session,
                         const Fd& bytes, const Fd& to, const SqlSubject& subject) {
  const InputFile& file = plan.input.files[plan.parts.parts[index].file];
  const bool as_stored = plan.input.format == plan.output;
  std::string columns;
  std::string inner;
  for (const auto i : plan.kept()) {
    const std::string name = sql_name(plan.schema.raw[i].name);
    columns += "t." + name + ", ";
    std::string value = as_stored ? name : typed_value(plan.schema, i);
    if (plan.output == TableFormat::kJsonLines) {
      const auto& column = as_stored ? plan.schema.raw[i] : plan.schema.typed[i];
      value = finite_in_json(value, column.type);
    }
    inner += value + " AS " + name + ", ";
  }
  // Something must be read to count the rows, even if nothing of it is kept.
  inner += inner.empty() ? "true AS " + sql_name("\x01") + ", " : "";
  const std::string sql = "COPY (SELECT " + columns + answer_values(plan) + " FROM (SELECT " +
                          inner.substr(0, inner.size() - 2) + " FROM " +
                          raw_table(plan.schema, bytes, file) + ") t POSITIONAL JOIN " + kTable +
                          " a WHERE a.keep) TO " + sql_file(to) +
                          format_options(plan.output, index == 0);
  return session.run(sql, subject);
}

Result<Fd> memory_file() {
  Fd out(::memfd_create("answers", MFD_CLOEXEC));
  if (out) return out;
  return fail(Code::kResourceExhausted, "too_large",
              "there is no memory for a part of the output; use fewer --workers");
}

// A row group of answers for each of the part's.
Result<void> write_beside(const Plan& plan, DuckdbSession& session, const Fd& bytes, const Fd& to,
                          const SqlSubject& subject) {
  SLUICE_TRY(const auto left, read_footer(bytes, clients::shown_name(subject.file)));
  std::vector<std::string> without;
  for (std::size_t i = 0; i < plan.schema.raw.size(); ++i) {
    const auto& name = plan.schema.raw[i].name;
    if (plan.answers.replaces(name)) without.push_back(name);
  }
  ParquetJoin join(to);
  std::uint64_t first = 0;
  for (std::size_t group = 0; group < left.row_groups.size(); ++group) {
    const std::uint64_t rows = left.row_groups[group].rows;
    if (rows == 0) continue;
    SLUICE_TRY(const auto answers, memory_file());
    SLUICE_CHECK(session.run("COPY (SELECT " + answer_values(plan) + " FROM " + kTable +
                                 " a WHERE rowid >= " + std::to_string(first) + " AND rowid < " +
                                 std::to_string(first + rows) + ") TO " + sql_file(answers) +
                                 " (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false, "
                                 "ROW_GROUP_SIZE " +
                                 std::to_string(std::max<std::uint64_t>(rows, 2048)) + ")",
                             subject));
    SLUICE_TRY(const auto right, read_footer(answers, "the answers"));
    SLUICE_CHECK(join.add({bytes, left, group, group + 1}, without, {answers, right}));
    first += rows;
  }
  return join.finish();
}

Failure unwritable(int error) {
  return unavailable(
      "unwritable", "a part of the output cannot be written: " + std::string(std::strerror(error)) +
                        "; check that its disk has room");
}

}  // namespace

Result<void> run_part(const Plan& plan, std::size_t index, DuckdbSession& session, Journal& journal,
                      Counts& counts) {
  const Part& part = plan.parts.parts[index];
  const InputFile& file = plan.input.files[part.file];
  const SqlSubject subject{file.path, plan.input.format, part.row_in_file + 1};
  SLUICE_TRY(const auto bytes, part_bytes(plan.input, plan.parts, part));
  SLUICE_TRY(auto table, session.fill(kTable, plan.answers.table()));
  Answering answering(plan, part, std::move(table), counts);
  std::vector<bool> lists;
  for (const auto& field : plan.binding.fields) lists.push_back(field.list);
  lists.push_back(false);
  {
    SLUICE_TRY(auto rows, session.rows(question(plan, bytes, file), lists, subject));
    while (true) {
      SLUICE_TRY(const auto chunk, rows.next());
      if (!chunk) break;
      SLUICE_CHECK(answering.add(*chunk));
    }
  }
  SLUICE_CHECK(answering.finish());
  if (answering.rows() != part.rows) {
    return unavailable("changing", clients::shown_name(file.path) + " has " +
                                       std::to_string(answering.rows()) + " rows where " +
                                       std::to_string(part.rows) +
                                       " were counted: it is damaged, or has empty lines");
  }
  const auto name = std::filesystem::path(journal.part(index).native() + ".tmp");
  const Fd to(::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!to) return unwritable(errno);
  SLUICE_CHECK(plan.paste ? write_beside(plan, session, bytes, to, subject)
                          : write_whole(plan, index, session, bytes, to, subject));
  PartDone done;
  done.rows = answering.rows();
  done.written = answering.written();
  done.bad = answering.bad();
  SLUICE_CHECK(journal.finish(index, std::move(done), to, name, answering.bad_lines()));
  counts.written += answering.written();
  ++counts.parts_done;
  return {};
}

}  // namespace sluice::tools::batch
