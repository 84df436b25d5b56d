#include "tools/batch/part_writer.h"

#include <memory>
#include <optional>
#include <utility>

#include "tools/batch/file_bytes.h"
#include "tools/batch/line_splitter.h"
#include "tools/batch/memory_files.h"
#include "tools/batch/parquet_file.h"

namespace sluice::tools::batch {
namespace {

using clients::DuckdbSession;
using clients::sql_file;
using clients::sql_name;
using clients::SqlSubject;
using clients::TableFormat;

constexpr std::size_t kPiece = 1 << 20;  // bytes that are written at once

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
                          raw_table(plan.schema, bytes, file) + ") t POSITIONAL JOIN " +
                          kAnswersTable + " a WHERE a.keep) TO ";
  const std::string options = format_options(plan.output, index == 0);
  if (plan.output != TableFormat::kParquet) {
    SLUICE_CHECK(cut_behind(to));  // what another part has left
    return session.run(sql + sql_file(to) + options, subject);
  }
  // DuckDB's file has more between the columns than columns; what is joined later has not.
  SLUICE_TRY(const auto written, memory_file("written"));
  SLUICE_CHECK(session.run(sql + sql_file(written) + options, subject));
  SLUICE_TRY(const auto footer, read_footer(written, "the answers"));
  SLUICE_CHECK(extract({written, footer}, to));
  return cut_behind(to);
}

// A row group of answers for each of the part's.
// Nothing is copied on the way to the output.
Result<MadePart> groups_beside(const Plan& plan, DuckdbSession& session,
                               std::shared_ptr<const Fd> part, const SqlSubject& subject) {
  const Fd& bytes = *part;
  SLUICE_TRY(const auto left, read_footer(bytes, clients::shown_name(subject.file)));
  MadePart out;
  out.keep.push_back(std::move(part));
  std::vector<std::string> without;
  for (std::size_t i = 0; i < plan.schema.raw.size(); ++i) {
    const auto& name = plan.schema.raw[i].name;
    if (plan.answers.replaces(name)) without.push_back(name);
  }
  ParquetJoin join;
  std::uint64_t first = 0;
  for (std::size_t group = 0; group < left.row_groups.size(); ++group) {
    const std::uint64_t rows = left.row_groups[group].rows;
    if (rows == 0) continue;
    SLUICE_TRY(auto file, memory_file("answers"));
    out.keep.push_back(std::make_shared<const Fd>(std::move(file)));
    const Fd& answers = *out.keep.back();
    SLUICE_CHECK(session.run("COPY (SELECT " + answer_values(plan) + " FROM " + kAnswersTable +
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
  SLUICE_TRY(out.footer, join.footer());
  out.pieces = join.noted();
  return out;
}

// ---- lines beside lines ------------------------------------------------------------------------

// The lines of a CSV file in memory, one after the other, without their ends.
class CsvLines {
 public:
  static Result<CsvLines> open(const Fd& fd, std::string_view name) {
    CsvLines out(fd, name);
    SLUICE_TRY(const auto size, size_of_file(fd, name));
    SLUICE_TRY(out.text_, MappedPiece::map(fd.get(), 0, size, name));
    return out;
  }

  struct Line {
    std::string_view text;
    std::string_view end;
  };
  // The header first. Nothing at the end. Valid as long as this.
  Result<std::optional<Line>> next() {
    const bool first = !std::exchange(begun_, true);
    SLUICE_TRY(const auto found, first ? lines_->header() : lines_->next());
    if (!found) return std::nullopt;
    auto text = text_.text().substr(found->offset, found->length);
    const std::size_t end = text.ends_with("\r\n") ? 2 : text.ends_with('\n') ? 1 : 0;
    return Line{text.substr(0, text.size() - end), text.substr(text.size() - end)};
  }

 private:
  CsvLines(const Fd& fd, std::string_view name)
      : lines_(std::make_unique<LineSplitter>(fd, name, LineKind::kCsv, 1)) {}

  std::unique_ptr<LineSplitter> lines_;
  MappedPiece text_;
  bool begun_ = false;
};

// Answers as CSV, each with "true" or "false" in front: whether its row stays.
Result<void> write_lines_beside(const Plan& plan, std::size_t index, DuckdbSession& session,
                                const Fd& bytes, const Fd& to, const SqlSubject& subject) {
  SLUICE_TRY(const auto answers, memory_file("answers"));
  SLUICE_CHECK(session.run("COPY (SELECT a.keep, " + answer_values(plan) + " FROM " +
                               kAnswersTable + " a) TO " + sql_file(answers) +
                               format_options(TableFormat::kCsv, true),
                           subject));
  SLUICE_TRY(auto left, CsvLines::open(bytes, clients::shown_name(subject.file)));
  SLUICE_TRY(auto right, CsvLines::open(answers, "the answers"));
  std::string out;
  ByteWriter writer(to);
  for (bool header = true;; header = false) {
    SLUICE_TRY(const auto row, left.next());
    SLUICE_TRY(const auto answer, right.next());
    if (!row || !answer) break;
    const auto comma = answer->text.find(',');
    const bool stays = header ? index == 0 : answer->text.starts_with("true");
    if (!stays) continue;
    out += row->text;
    out += answer->text.substr(comma);
    out += row->end.empty() ? "\n" : row->end;
    if (out.size() < kPiece) continue;
    SLUICE_CHECK(writer.write(out));
    out.clear();
  }
  SLUICE_CHECK(writer.write(out));
  return cut_behind(to);
}

}  // namespace

Result<MadePart> make_part(const Plan& plan, std::size_t index, DuckdbSession& session,
                           std::shared_ptr<const Fd> part, MemoryFiles& files,
                           const SqlSubject& subject) {
  if (plan.writing == Writing::kGroupsBeside) {
    return groups_beside(plan, session, std::move(part), subject);
  }
  SLUICE_TRY(auto to, files.take());
  const bool beside = plan.writing == Writing::kLinesBeside;
  SLUICE_CHECK(beside ? write_lines_beside(plan, index, session, *part, *to, subject)
                      : write_whole(plan, index, session, *part, *to, subject));
  return part_of(plan.output, std::move(to));
}

}  // namespace sluice::tools::batch
