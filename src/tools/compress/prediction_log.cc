#include "tools/compress/prediction_log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "base/name_list.h"
#include "base/text.h"
#include "clients/duckdb_session.h"
#include "tools/batch/input.h"
#include "tools/batch/schema.h"
#include "tools/compress/log_features.h"

namespace sluice::tools::compress {
namespace {

using clients::TableFormat;
using nlohmann::json;

constexpr std::uint64_t kMemory = std::uint64_t{1} << 30;
constexpr std::size_t kBlock = std::size_t{64} << 10;
// The server writes features of up to 64 KiB; as JSON, and twice where they were fetched, that is
// less.
constexpr std::size_t kMostLine = std::size_t{4} << 20;
constexpr std::string_view kLabel = "true_label";
constexpr std::string_view kMarks[] = {"features", "model_version", "latency_ms"};

// ---- lines -------------------------------------------------------------------------------------

class Lines {
 public:
  Lines(const Fd& fd, std::string name) : fd_(fd), name_(std::move(name)) {}

  // The next line, valid until the one after, or nothing at the end. One that is too long is empty.
  Result<std::optional<std::string_view>> next() {
    buffer_.erase(0, std::exchange(used_, 0));
    bool too_long = false;
    for (std::size_t from = 0;;) {
      const auto end = buffer_.find('\n', from);
      if (end != std::string::npos) {
        used_ = end + 1;
        return std::string_view(buffer_).substr(0, too_long ? 0 : end);
      }
      if (buffer_.size() > kMostLine) {
        too_long = true;
        buffer_.clear();
      }
      from = buffer_.size();
      SLUICE_TRY(const bool more, read());
      if (more) continue;
      used_ = buffer_.size();
      if (used_ == 0 && !too_long) return std::nullopt;
      return too_long ? std::string_view() : std::string_view(buffer_);
    }
  }

 private:
  Result<bool> read() {
    const std::size_t before = buffer_.size();
    buffer_.resize(before + kBlock);
    ssize_t got = 0;
    do {
      got = ::read(fd_.get(), buffer_.data() + before, kBlock);
    } while (got < 0 && errno == EINTR);
    buffer_.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got >= 0) return got > 0;
    return unavailable("unreadable", name_ + " cannot be read: " + std::strerror(errno));
  }

  const Fd& fd_;
  std::string name_;
  std::string buffer_;
  std::size_t used_ = 0;  // of the buffer's front, by the last line
};

json parsed(std::string_view text) { return json::parse(text, nullptr, false); }

const json& field(const json& object, std::string_view name) {
  static const json kNull;
  const auto found = object.find(name);
  return found == object.end() ? kNull : *found;
}

std::string text_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_number() || !std::isfinite(value.get<double>())) return {};
  return fmt::format("{}", value.get<double>());
}

std::string finite_label(std::string_view text) {
  const auto number = parse_double(text);
  return number && !std::isfinite(*number) ? std::string() : std::string(text);
}

// ---- what a file has ---------------------------------------------------------------------------

bool has_marks(const std::vector<std::string>& names) {
  return std::ranges::all_of(
      kMarks, [&](std::string_view mark) { return std::ranges::find(names, mark) != names.end(); });
}

Result<std::vector<clients::SqlColumn>> parquet_columns(clients::DuckdbSession& session,
                                                        const clients::OpenTable& table) {
  return batch::stored_columns(session, table.format, table.fd, {table.file, table.format});
}

Result<std::vector<std::string>> names_in(const clients::OpenTable& table) {
  std::vector<std::string> out;
  if (table.format == TableFormat::kJsonLines) {
    Lines lines(table.fd, clients::shown_name(table.file));
    SLUICE_TRY(const auto line, lines.next());
    const json first = line ? parsed(*line) : json();
    if (!first.is_object()) return out;
    for (const auto& entry : first.items()) out.push_back(entry.key());
    return out;
  }
  SLUICE_TRY(const auto engine, clients::Duckdb::open({kMemory, 1}));
  SLUICE_TRY(auto session, clients::DuckdbSession::open(engine));
  SLUICE_TRY(const auto columns, parquet_columns(session, table));
  for (const auto& column : columns) out.push_back(column.name);
  return out;
}

// ---- reading -----------------------------------------------------------------------------------

class LogReading {
 public:
  LogReading(const Signature& signature, const DatasetOptions& options)
      : options_(options),
        builder_(signature, options.batch),
        features_(signature, builder_, options.most_rows) {}

  Result<Dataset> read() {
    SLUICE_TRY(const auto input, batch::find_input(options_.file));
    name_ = clients::shown_name(input.files[0].path);
    SLUICE_CHECK(check_label());
    std::size_t file = 0;
    for (; file < input.files.size() && !features_.full(); ++file) {
      SLUICE_TRY(const auto table, batch::open_input(input, file));
      SLUICE_CHECK(table.format == TableFormat::kParquet ? read_parquet(table) : read_lines(table));
    }
    return finish();
  }

 private:
  Result<void> check_label() const {
    if (!options_.label_given || options_.label == kLabel) return {};
    return invalid("unknown_column",
                   name_ + " is a prediction log, whose labels are in '" + std::string(kLabel) +
                       "', and --label names '" + printable(options_.label) +
                       "'; leave it out, or join the log with other labels into a table");
  }

  bool wanted(const std::string& model) {
    if (!model.empty()) models_.insert(model);
    if (options_.model.empty() || model.empty() || model == options_.model) return true;
    ++of_others_;
    return false;
  }

  Result<void> read_lines(const clients::OpenTable& table) {
    Lines lines(table.fd, clients::shown_name(table.file));
    while (!features_.full()) {
      SLUICE_TRY(const auto line, lines.next());
      if (!line) return {};
      const json object = parsed(*line);
      if (!object.is_object()) {
        ++broken_;
      } else if (wanted(text_of(field(object, "model")))) {
        features_.add(field(object, "features"), text_of(field(object, kLabel)));
      }
    }
    return {};
  }

  // Lists of numbers as they are, everything else as JSON.
  Result<void> read_parquet(const clients::OpenTable& table) {
    SLUICE_TRY(const auto engine, clients::Duckdb::open({kMemory, 1}));
    SLUICE_TRY(auto session, clients::DuckdbSession::open(engine));
    SLUICE_TRY(const auto columns, parquet_columns(session, table));
    const auto type_of = [&](std::string_view name) -> std::string_view {
      const auto found = std::ranges::find(columns, name, &clients::SqlColumn::name);
      return found == columns.end() ? std::string_view() : std::string_view(found->type);
    };
    const auto text = [&](std::string_view name) {
      return type_of(name).empty() ? "NULL::VARCHAR"
                                   : "CAST(" + clients::sql_name(name) + " AS VARCHAR)";
    };
    const bool list = type_of("features").ends_with("[]");
    const std::string sql =
        std::string("SELECT ") + (list ? "CAST(features AS DOUBLE[])" : "NULL::DOUBLE[]") + ", " +
        text(list ? "features_json" : "features") + ", " + text(kLabel) + ", " + text("model") +
        " FROM (" + batch::stored_table(table.format, table.fd) + ")";
    SLUICE_TRY(auto rows,
               session.rows(sql, {true, false, false, false}, {table.file, table.format}));
    while (!features_.full()) {
      SLUICE_TRY(const auto chunk, rows.next());
      if (!chunk) return {};
      for (std::size_t row = 0; row < chunk->rows() && !features_.full(); ++row) add(*chunk, row);
    }
    return {};
  }

  void add(const clients::SqlChunk& chunk, std::size_t row) {
    const auto text = [&](std::size_t column) {
      return chunk.is_null(column, row) ? std::string_view() : chunk.text(column, row);
    };
    if (!wanted(std::string(text(3)))) return;
    json features;
    if (!chunk.is_null(0, row)) {
      features = json::array();
      const auto [first, count] = chunk.list(0, row);
      for (std::size_t i = first; i < first + count; ++i) {
        const bool gap = chunk.gap(0, i);
        features.push_back(gap ? json() : json(chunk.list_reals(0)[i]));
      }
    } else if (!text(1).empty()) {
      features = parsed(text(1));
      // A hash is written as JSON's text; one that a copy has without quotes is no JSON at all.
      if (features.is_discarded()) features = std::string(text(1));
    }
    features_.add(features, finite_label(text(2)));
  }

  void note(Dataset& out, std::size_t count, const std::string& what) const {
    if (count > 0) out.note(std::to_string(count) + " lines of " + name_ + " " + what);
  }

  Result<Dataset> finish() {
    const std::size_t closed = features_.hashed() + features_.unwritten();
    if (builder_.rows() == 0 && closed > 0) {
      return invalid("empty_table",
                     name_ + " has no features to read: of " + std::to_string(closed) + " lines " +
                         std::to_string(features_.hashed()) +
                         " have them hashed, the others have none; a log with them is written "
                         "with 'log: {features: full}' in model.yaml");
    }
    if (builder_.rows() == 0 && of_others_ > 0) {
      return invalid("empty_table", name_ + " has no line of the model '" +
                                        printable(options_.model) + "'; its lines are of " +
                                        shown_models());
    }
    const bool full = features_.full();
    SLUICE_TRY(auto out, builder_.finish(name_));
    note(out, features_.hashed(), "were left out, whose features are hashed");
    note(out, features_.unwritten(), "were left out, which have no features");
    note(out, broken_, "were left out, which are no JSON objects or are too long");
    note(out, of_others_, "were left out, which are of other models");
    if (options_.model.empty() && models_.size() > 1) {
      out.note(name_ + " has lines of several models: " + shown_models() +
               "; all whose features fit were used");
    }
    if (full)
      out.note("of " + name_ + " the first " + std::to_string(out.rows()) + " rows were used");
    return out;
  }

  std::string shown_models() const {
    return name_list(std::vector<std::string>(models_.begin(), models_.end()), 5);
  }

  const DatasetOptions& options_;
  RowBuilder builder_;
  LogFeatures features_;
  std::string name_;
  std::set<std::string> models_;
  std::size_t of_others_ = 0;
  std::size_t broken_ = 0;
};

}  // namespace

Result<bool> is_prediction_log(const std::string& file) {
  SLUICE_TRY(const auto input, batch::find_input(file));
  if (input.format == TableFormat::kCsv) return false;
  SLUICE_TRY(const auto table, batch::open_input(input, 0));
  SLUICE_TRY(const auto names, names_in(table));
  return has_marks(names);
}

Result<Dataset> read_prediction_log(const Signature& signature, const DatasetOptions& options) {
  return LogReading(signature, options).read();
}

}  // namespace sluice::tools::compress
