#include "tools/batch/part_run.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "tools/batch/answering.h"
#include "tools/batch/part_writer.h"

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

Failure unwritable(int error) {
  return unavailable(
      "unwritable", "a part of the output cannot be written: " + std::string(std::strerror(error)) +
                        "; check that its disk has room");
}

// Of a part that is being worked on.
struct Work {
  const Plan& plan;
  std::size_t index;
  DuckdbSession& session;
  Journal& journal;
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

Result<void> answer_and_write(const Work& work, const Fd& bytes, Answering& answering) {
  SLUICE_CHECK(answer_all(work, bytes, answering));
  const Part& part = work.part();
  if (answering.rows() != part.rows) {
    return unavailable("changing", clients::shown_name(work.file().path) + " has " +
                                       std::to_string(answering.rows()) + " rows where " +
                                       std::to_string(part.rows) +
                                       " were counted: it is damaged, or has empty lines");
  }
  const auto name = std::filesystem::path(work.journal.part(work.index).native() + ".tmp");
  const Fd to(::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!to) return unwritable(errno);
  SLUICE_CHECK(write_part(work.plan, work.index, work.session, bytes, to, work.subject()));
  PartDone done;
  done.rows = answering.rows();
  done.written = answering.written();
  done.bad = answering.bad();
  return work.journal.finish(work.index, std::move(done), to, name, answering.bad_lines());
}

// Once: nothing is left behind where it fails.
Result<void> run_once(const Work& work, const Fd& bytes, std::span<const BrokenLine> broken) {
  SLUICE_TRY(auto table, work.session.fill(kAnswersTable, work.plan.answers.table()));
  Answering answering(work.plan, work.part(), broken, std::move(table), work.counts);
  auto done = answer_and_write(work, bytes, answering);
  if (!done) {
    answering.forget();
    return done;
  }
  work.counts.written += answering.written();
  ++work.counts.parts_done;
  return {};
}

}  // namespace

Result<void> run_part(const Plan& plan, std::size_t index, DuckdbSession& session, Journal& journal,
                      Counts& counts) {
  const Work work{plan, index, session, journal, counts};
  SLUICE_TRY(const auto bytes, part_bytes(plan.input, plan.parts, work.part()));
  auto done = run_once(work, bytes, {});
  const bool sortable =
      !done && plan.options.on_error != OnError::kFail && of_lines(done.error(), plan.input.format);
  if (!sortable) return done;
  SLUICE_TRY(const auto sorted, sort_out(session, bytes, work.subject(), [&](const Fd& fd) {
               return "SELECT * FROM " + raw_table(plan.schema, fd, work.file());
             }));
  if (sorted.broken.empty()) return done;
  return run_once(work, sorted.bytes, sorted.broken);
}

}  // namespace sluice::tools::batch
