#include "tools/batch/part_run.h"

#include <string_view>
#include <vector>

#include "tools/batch/answering.h"
#include "tools/batch/file_bytes.h"
#include "tools/batch/part_writer.h"
#include "tools/batch/plain_csv.h"

namespace sluice::tools::batch {
namespace {

using clients::DuckdbSession;
using clients::sql_name;
using clients::SqlSubject;

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

// Of a part that is being worked on.
struct Work {
  const Plan& plan;
  std::size_t index;
  DuckdbSession& session;
  PartFiles& files;
  Counts& counts;

  const Part& part() const { return plan.parts.parts[index]; }
  const InputFile& file() const { return plan.input.files[part().file]; }
  SqlSubject subject() const { return {file().path, plan.input.format, part().row_in_file + 1}; }
};

Result<void> answer_all(const Work& work, const Fd& bytes, Answering& answering) {
  std::vector<bool> lists;
  for (const auto& field : work.plan.binding.fields) lists.push_back(field.list);
  lists.push_back(false);
  SLUICE_TRY(auto rows,
             work.session.rows(question(work.plan, bytes, work.file()), lists, work.subject()));
  while (true) {
    SLUICE_TRY(const auto chunk, rows.next());
    if (!chunk) return answering.finish();
    SLUICE_CHECK(answering.add(*chunk));
  }
}

// What a part that is read as plain lines fails with when it has others.
constexpr std::string_view kNotPlain = "not_plain";

Result<void> answer_plain(const Work& work, const Fd& bytes, Answering& answering) {
  const PlainReading& reading = *work.plan.plain;
  const auto name = clients::shown_name(work.file().path);
  const auto header = work.plan.parts.headers[work.part().file].size();
  SLUICE_TRY(const auto size, size_of_file(bytes, name));
  SLUICE_TRY(const auto text, MappedPiece::map(bytes.get(), header, size - header, name));
  PlainCsv lines(text.text(), reading.columns, reading.wanted);
  const std::vector<std::uint8_t> all_stay(PlainCsv::kMostRows, 1);
  std::vector<clients::SqlChunk::Column> columns;
  for (std::size_t i = 0; i < reading.wanted.size(); ++i) {
    columns.push_back({lines.numbers(i), nullptr});
  }
  columns.push_back({all_stay.data(), nullptr});
  while (const auto rows = lines.next()) {
    SLUICE_CHECK(answering.add(clients::SqlChunk(rows, columns)));
  }
  if (!lines.plain()) return fail(Code::kAborted, kNotPlain, "its lines are not plain");
  return answering.finish();
}

enum class Source { kPlainLines, kTable };

Result<PartAnswered> answer_and_write(const Work& work, std::shared_ptr<const Fd> bytes,
                                      Source source, Answering& answering) {
  SLUICE_CHECK(source == Source::kPlainLines ? answer_plain(work, *bytes, answering)
                                             : answer_all(work, *bytes, answering));
  const Part& part = work.part();
  if (answering.rows() != part.rows) {
    return unavailable("changing", clients::shown_name(work.file().path) + " has " +
                                       std::to_string(answering.rows()) + " rows where " +
                                       std::to_string(part.rows) +
                                       " were counted: it is damaged, or has empty lines");
  }
  PartAnswered out;
  SLUICE_TRY(out.made, make_part(work.plan, work.index, work.session, bytes, work.files.written,
                                 work.subject()));
  out.done.rows = answering.rows();
  out.done.written = answering.written();
  out.done.bad = answering.bad();
  out.done.not_finite = answering.not_finite();
  out.bad_lines = answering.bad_lines();
  return out;
}

// Once: nothing is left behind where it fails.
Result<PartAnswered> run_once(const Work& work, std::shared_ptr<const Fd> bytes, Source source,
                              std::span<const BrokenLine> broken = {}) {
  SLUICE_TRY(auto table, work.session.fill(kAnswersTable, work.plan.answers.table()));
  const Plan& plan = work.plan;
  const Binding& binding = source == Source::kPlainLines ? plan.plain->binding : plan.binding;
  Answering answering(plan, binding, work.part(), broken, std::move(table), work.counts);
  auto done = answer_and_write(work, bytes, source, answering);
  if (!done) answering.forget();
  return done;
}

}  // namespace

Result<PartAnswered> run_part(const Plan& plan, std::size_t index, DuckdbSession& session,
                              PartFiles& files, Counts& counts) {
  const Work work{plan, index, session, files, counts};
  SLUICE_TRY(const auto bytes, files.read.take());
  SLUICE_CHECK(part_bytes(plan.input, plan.parts, work.part(), *bytes));
  auto done = run_once(work, bytes, plan.plain ? Source::kPlainLines : Source::kTable);
  if (!done && done.error().reason == kNotPlain) done = run_once(work, bytes, Source::kTable);
  if (done || !of_lines(done.error(), plan.input.format)) return done;
  SLUICE_TRY(auto sorted, sort_out(session, *bytes, work.subject(), [&](const Fd& fd) {
               return "SELECT * FROM " + raw_table(plan.schema, fd, work.file());
             }));
  if (sorted.broken.empty()) return done;
  if (plan.options.on_error == OnError::kFail) {
    const auto& first = sorted.broken.front();
    return bad_row(row_words(plan.input, work.part(), first.place), first.reason);
  }
  return run_once(work, std::make_shared<const Fd>(std::move(sorted.bytes)), Source::kTable,
                  sorted.broken);
}

}  // namespace sluice::tools::batch
