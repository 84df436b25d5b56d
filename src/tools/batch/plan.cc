#include "tools/batch/plan.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/digest.h"
#include "base/text.h"
#include "tools/batch/broken_lines.h"
#include "tools/batch/filter.h"
#include "tools/batch/memory_files.h"
#include "tools/batch/side_by_side.h"

namespace sluice::tools::batch {
namespace {

using clients::DuckdbSession;
using clients::SqlColumn;
using clients::SqlSubject;
using clients::TableFormat;
using nlohmann::json;

constexpr int kManifestVersion = 1;
constexpr std::size_t kEnds = std::size_t{1} << 20;  // bytes of a file that are looked at

SqlSubject subject_of(const Input& input, const Part& part) {
  return {input.files[part.file].path, input.format, part.row_in_file + 1};
}

// ---- columns -----------------------------------------------------------------------------------

Failure other_columns(const Input& input, std::size_t file, const std::string& what) {
  return invalid("bad_table", clients::shown_name(input.files[file].path) + " " + what + " than " +
                                  clients::shown_name(input.files[0].path) +
                                  " has; files that are read together have the same columns");
}

bool is_whole(std::string_view text) {
  const auto digits = text.starts_with('-') ? text.substr(1) : text;
  const auto number = parse_int(text);
  return number && (digits == "0" || !digits.starts_with('0')) && !text.starts_with('+');
}

void add_partition(const Input& input, Schema& schema) {
  for (std::size_t i = 0; i < input.partition.size(); ++i) {
    const bool whole = std::ranges::all_of(input.files, [&](const InputFile& file) {
      return !file.partition[i] || is_whole(*file.partition[i]);
    });
    schema.raw.push_back({input.partition[i], whole ? "BIGINT" : "VARCHAR"});
    ++schema.of_partition;
  }
}

Result<Schema> parquet_schema(DuckdbSession& session, const Input& input) {
  Schema out;
  out.format = input.format;
  for (std::size_t file = 0; file < input.files.size(); ++file) {
    SLUICE_TRY(const auto table, open_input(input, file));
    const SqlSubject subject{table.file, input.format};
    SLUICE_TRY(auto columns, stored_columns(session, input.format, table.fd, subject));
    if (file == 0) {
      out.raw = std::move(columns);
      continue;
    }
    if (columns == out.raw) continue;
    out.cast = true;
    if (columns.size() != out.raw.size()) return other_columns(input, file, "has other columns");
    for (const auto& column : columns) {
      if (out.find(column.name) == Schema::npos) {
        return other_columns(input, file, "has another column '" + printable(column.name) + "'");
      }
    }
  }
  return out;
}

Result<Schema> csv_schema(DuckdbSession& session, const Input& input, const Parts& parts) {
  Schema out;
  out.format = input.format;
  for (std::size_t file = 0; file < input.files.size(); ++file) {
    Part header;
    header.file = file;
    SLUICE_TRY(const auto bytes, memory_file("part"));
    SLUICE_CHECK(part_bytes(input, parts, header, bytes));
    const SqlSubject subject{input.files[file].path, input.format};
    SLUICE_TRY(auto columns, stored_columns(session, input.format, bytes, subject));
    if (file == 0) {
      out.raw = std::move(columns);
    } else if (columns != out.raw) {
      return other_columns(input, file, "has other columns, or another order of them,");
    }
  }
  return out;
}

// The keys of all lines, as they come first.
Schema json_schema(std::span<const Guess> guesses) {
  Schema out;
  out.format = TableFormat::kJsonLines;
  for (const auto& guess : guesses) {
    for (const auto& column : guess.columns) {
      const auto same = [&](const SqlColumn& one) { return one.name == column.name; };
      if (!std::ranges::any_of(out.raw, same)) out.raw.push_back({column.name, "JSON"});
    }
  }
  return out;
}

// Looks at every part.
Result<std::vector<Guess>> guess_all(const clients::Duckdb& engine, const Input& input,
                                     const Parts& parts, const Schema& schema, bool may_be_broken,
                                     unsigned workers, const std::atomic<bool>& stop) {
  std::vector<Guess> out(parts.parts.size());
  MemoryFiles files("part");
  const auto look = [&](DuckdbSession& session, std::size_t index) -> Result<void> {
    const Part& part = parts.parts[index];
    // Where there are no lines there are no keys.
    if (input.format == TableFormat::kJsonLines && part.rows == 0) return {};
    SLUICE_TRY(const auto held, files.take());
    const Fd& bytes = *held;
    SLUICE_CHECK(part_bytes(input, parts, part, bytes));
    const InputFile& file = input.files[part.file];
    const auto subject = subject_of(input, part);
    auto found = guess_types(session, schema, bytes, file, subject);
    if (!found && of_lines(found.error(), input.format)) {
      SLUICE_TRY(const auto sorted, sort_out(session, bytes, subject, [&](const Fd& fd) {
                   return schema.raw.empty() ? stored_table(input.format, fd)
                                             : "SELECT * FROM " + raw_table(schema, fd, file);
                 }));
      if (!sorted.broken.empty() && !may_be_broken) {
        const auto& first = sorted.broken.front();
        return bad_row(row_words(input, part, first.place), first.reason);
      }
      if (!sorted.broken.empty()) {
        found = guess_types(session, schema, sorted.bytes, file, subject);
      }
    }
    SLUICE_TRY(out[index], std::move(found));
    return {};
  };
  SLUICE_CHECK(side_by_side(engine, parts.parts.size(), workers, stop, look));
  if (!stop) return out;
  return fail(Code::kCancelled, "stopped", "stopped before the first part");
}

// ---- identity ----------------------------------------------------------------------------------

Result<std::string> digest_of_ends(const Input& input, std::size_t file) {
  SLUICE_TRY(const auto table, open_input(input, file));
  const std::uint64_t size = input.files[file].size;
  Digest digest(Digest::Kind::kSha256);
  std::vector<std::byte> buffer(kEnds);
  const std::uint64_t last = size > kEnds ? size - kEnds : 0;
  for (const std::uint64_t at : {std::uint64_t{0}, last}) {
    const auto got = ::pread(table.fd.get(), buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got < 0) {
      return unavailable("unreadable", clients::shown_name(table.file) + " cannot be read");
    }
    digest.update(std::span(buffer).first(static_cast<std::size_t>(got)));
  }
  return to_hex(digest.finish());
}

std::string_view word_of(OnError on_error) {
  switch (on_error) {
    case OnError::kFail: return "fail";
    case OnError::kNull: return "null";
    case OnError::kSkip: break;
  }
  return "skip";
}

Writing writing_of(const Plan& plan, const JobOptions& options) {
  const bool more_than_added = plan.output != plan.input.format || plan.schema.of_partition > 0 ||
                               plan.schema.cast || plan.parts.rows == 0;
  if (more_than_added) return Writing::kWhole;
  const std::size_t kept = plan.kept().size();
  if (plan.output == TableFormat::kParquet) {
    const bool all_rows = options.where.empty() && options.on_error != OnError::kSkip;
    return all_rows && kept > 0 ? Writing::kGroupsBeside : Writing::kWhole;
  }
  const bool csv = plan.output == TableFormat::kCsv;
  return csv && kept == plan.schema.raw.size() ? Writing::kLinesBeside : Writing::kWhole;
}

std::optional<PlainReading> plain_reading(const Plan& plan, const Signature& signature,
                                          const std::string& where) {
  PlainReading out;
  out.columns = plan.schema.raw.size() - plan.schema.of_partition;
  if (plan.input.format != TableFormat::kCsv || !where.empty()) return std::nullopt;
  out.binding = plan.binding;
  for (auto& field : out.binding.fields) {
    const auto dtype = signature.inputs[field.input].dtype;
    const auto column = plan.schema.find(field.column);
    const bool real = dtype == DType::kFloat32 || dtype == DType::kFloat64;
    if (field.list || field.reading != Reading::kText || !real || column >= out.columns) {
      return std::nullopt;
    }
    field.reading = Reading::kReal;
    out.wanted.push_back(column);
  }
  return out;
}

}  // namespace

Result<Schema> read_schema(const clients::Duckdb& engine, const Input& input, const Parts& parts,
                           bool typed, bool may_be_broken, unsigned workers,
                           const std::atomic<bool>& stop) {
  SLUICE_TRY(auto session, DuckdbSession::open(engine));
  Schema out;
  std::vector<Guess> guesses;
  out.format = input.format;
  if (input.format == TableFormat::kJsonLines) {
    SLUICE_TRY(guesses, guess_all(engine, input, parts, out, may_be_broken, workers, stop));
    out = json_schema(guesses);
    if (out.raw.empty()) {
      return invalid("bad_table", clients::shown_name(input.files[0].path) +
                                      " has no lines, so that its columns are not known");
    }
  } else if (input.format == TableFormat::kCsv) {
    SLUICE_TRY(out, csv_schema(session, input, parts));
  } else {
    SLUICE_TRY(out, parquet_schema(session, input));
  }
  if (typed && input.format == TableFormat::kCsv) {
    SLUICE_TRY(guesses, guess_all(engine, input, parts, out, may_be_broken, workers, stop));
  }
  add_partition(input, out);
  out.typed = out.raw;
  if (typed && input.format != TableFormat::kParquet) settle_types(out, guesses);
  return out;
}

json identity_of(const std::filesystem::path& name, std::uint64_t bytes,
                 const std::string& version) {
  return {{"name", name.filename().string()}, {"bytes", bytes}, {"version", version}};
}

std::vector<std::size_t> Plan::kept() const {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < schema.raw.size(); ++i) {
    if (!answers.replaces(schema.raw[i].name)) out.push_back(i);
  }
  return out;
}

json Plan::manifest() const {
  json files = json::array();
  for (std::size_t file = 0; file < input.files.size(); ++file) {
    const InputFile& one = input.files[file];
    if (!one.version.empty()) {
      files.push_back(identity_of(one.path, one.size, one.version));
      continue;
    }
    const auto ends = digest_of_ends(input, file);
    files.push_back({{"name", one.path.filename().string()},
                     {"bytes", one.size},
                     {"modified", one.modified},
                     {"ends", ends ? *ends : ""}});
  }
  json columns = json::array();
  const bool as_stored = input.format == output;
  for (const auto i : kept()) {
    const auto& column = as_stored ? schema.raw[i] : schema.typed[i];
    columns.push_back({column.name, column.type});
  }
  for (const auto& column : answers.columns) columns.push_back({column.name, column.type});
  return {{"sluice_batch", kManifestVersion},
          {"input",
           {{"format", clients::format_name(input.format)},
            {"files", std::move(files)},
            {"rows", parts.rows}}},
          {"model", options.model},
          {"options",
           {{"batch-size", options.batch_size},
            {"columns", options.columns},
            {"map", options.mapping},
            {"where", options.where},
            {"on-error", word_of(options.on_error)},
            {"all-outputs", options.answers.all_outputs},
            {"guard", options.answers.guard},
            {"explain", options.answers.explain},
            {"shards", options.shard.count}}},
          {"output", {{"format", clients::format_name(output)}, {"columns", std::move(columns)}}},
          {"parts", parts.parts.size()}};
}

Result<Plan> make_plan(const clients::Duckdb& engine, std::shared_ptr<const Servable> servable,
                       JobOptions options, const std::atomic<bool>& stop) {
  Plan out;
  SLUICE_TRY(out.output, clients::table_format(options.output));
  if (options.found) {
    out.input = *options.found;
  } else {
    SLUICE_TRY(out.input, find_input(options.input));
  }
  SLUICE_CHECK(check_not_input(out.input, options.output));
  SLUICE_TRY(out.parts, cut(out.input));
  const bool typed = out.output != out.input.format || !options.where.empty();
  SLUICE_TRY(out.schema, read_schema(engine, out.input, out.parts, typed,
                                     options.on_error != OnError::kFail, options.workers, stop));
  SLUICE_TRY(out.answers, plan_answers(*servable, out.schema, options.answers));
  BindOptions binding{options.columns, options.mapping, {"prediction", "confidence"}};
  SLUICE_TRY(out.binding, bind(servable->signature(), out.schema, binding));
  out.plain = plain_reading(out, servable->signature(), options.where);
  SLUICE_CHECK(check_filter(engine, out.schema, options.where));
  out.writing = writing_of(out, options);
  out.predictor = std::make_shared<const Predictor>(std::move(servable), options.answers);
  out.options = std::move(options);
  return out;
}

}  // namespace sluice::tools::batch
