#include "tools/compress/dataset.h"

#include <algorithm>
#include <atomic>
#include <optional>

#include "base/text.h"
#include "tools/batch/gather.h"
#include "tools/batch/memory_files.h"
#include "tools/batch/plan.h"
#include "tools/compress/npy.h"
#include "tools/compress/prediction_log.h"

namespace sluice::tools::compress {
namespace {

using clients::DuckdbSession;
using clients::SqlSubject;

constexpr std::uint64_t kMemory = std::uint64_t{1} << 30;

std::vector<std::string> column_names(const batch::Schema& schema) {
  std::vector<std::string> out;
  for (const auto& column : schema.raw) out.push_back(column.name);
  return out;
}

// Reads a table's rows into a dataset, a part of the input after the other.
class TableReading {
 public:
  TableReading(const Signature& signature, const DatasetOptions& options)
      : signature_(signature), options_(options) {}

  Result<Dataset> read() {
    SLUICE_TRY(const auto engine, clients::Duckdb::open({kMemory, 1}));
    SLUICE_TRY(input_, batch::find_input(options_.file));
    SLUICE_TRY(parts_, batch::cut(input_));
    const std::atomic<bool> never = false;
    // Of text, types matter for nothing here but the label, which is read as text.
    SLUICE_TRY(schema_, batch::read_schema(engine, input_, parts_, false, false, 1, never));
    SLUICE_CHECK(find_label());
    batch::BindOptions bind;
    bind.made = {"prediction", "confidence"};
    if (label_ != batch::Schema::npos) bind.made.push_back(schema_.raw[label_].name);
    bind.remedy = "Give the table's columns the model's names";
    SLUICE_TRY(binding_, batch::bind(signature_, schema_, bind));
    gather_.emplace(signature_, binding_);
    SLUICE_TRY(auto session, DuckdbSession::open(engine));
    for (const auto& part : parts_.parts) {
      if (full()) break;
      SLUICE_CHECK(read_part(session, part));
    }
    take();
    return finish();
  }

 private:
  bool full() const { return out_.rows() + gather_->rows() >= options_.most_rows; }

  Result<void> find_label() {
    label_ = options_.label.empty() ? batch::Schema::npos : schema_.find(options_.label);
    if (label_ != batch::Schema::npos || !options_.label_given) return {};
    const auto names = column_names(schema_);
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    return invalid("unknown_column", clients::shown_name(input_.files[0].path) +
                                         " has no column '" + printable(options_.label) +
                                         "', which --label names" +
                                         did_you_mean(options_.label, candidates));
  }

  Result<void> read_part(DuckdbSession& session, const batch::Part& part) {
    const auto& file = input_.files[part.file];
    SLUICE_TRY(const auto bytes, batch::memory_file("part"));
    SLUICE_CHECK(batch::part_bytes(input_, parts_, part, bytes));
    std::string fields;
    std::vector<bool> lists;
    for (const auto& field : binding_.fields) {
      fields += field.sql + ", ";
      lists.push_back(field.list);
    }
    fields += label_ == batch::Schema::npos ? "NULL::VARCHAR" : label_sql();
    lists.push_back(false);
    SLUICE_TRY(auto rows,
               session.rows("SELECT " + fields + " FROM " + batch::raw_table(schema_, bytes, file),
                            lists, SqlSubject{file.path, input_.format, part.row_in_file + 1}));
    while (!full()) {
      SLUICE_TRY(const auto chunk, rows.next());
      if (!chunk) return {};
      for (std::size_t row = 0; row < chunk->rows() && !full(); ++row) add(*chunk, row);
    }
    return {};
  }

  std::string label_sql() const {
    const auto& column = schema_.raw[label_];
    const std::string name = clients::sql_name(column.name);
    return column.type == "JSON" ? "(" + name + " ->> '$')" : "CAST(" + name + " AS VARCHAR)";
  }

  void add(const clients::SqlChunk& chunk, std::size_t row) {
    auto added = gather_->add(chunk, row);
    if (added == batch::Gather::Added::kOther) {
      take();
      added = gather_->add(chunk, row);
    }
    if (added == batch::Gather::Added::kBad) {
      if (left_out_++ == 0) first_reason_ = gather_->reason();
      return;
    }
    if (label_ != batch::Schema::npos) {
      out_.add_label(std::string(chunk.text(binding_.fields.size(), row)));
    }
    const std::size_t most = signature_.batchable() ? options_.batch : 1;
    if (gather_->rows() >= most) take();
  }

  void take() {
    if (gather_->rows() > 0) out_.add(gather_->inputs(), gather_->rows());
    gather_->clear();
  }

  Result<Dataset> finish() {
    const auto name = clients::shown_name(input_.files[0].path);
    if (left_out_ > 0) {
      out_.note(std::to_string(left_out_) + " rows of " + name +
                " were left out, which the model cannot take; the first: " + first_reason_);
    }
    if (out_.rows() == 0) {
      return invalid("empty_table", name + " has no row that the model can take" +
                                        (left_out_ > 0 ? ": " + first_reason_ : ""));
    }
    if (parts_.rows > out_.rows() + left_out_) {
      out_.note("of " + std::to_string(parts_.rows) + " rows of " + name + " the first " +
                std::to_string(out_.rows()) + " were used");
    }
    return std::move(out_);
  }

  const Signature& signature_;
  const DatasetOptions& options_;
  batch::Input input_;
  batch::Parts parts_;
  batch::Schema schema_;
  batch::Binding binding_;
  std::optional<batch::Gather> gather_;
  std::size_t label_ = batch::Schema::npos;
  Dataset out_;
  std::uint64_t left_out_ = 0;
  std::string first_reason_;
};

}  // namespace

void Dataset::add(std::span<const TensorView> inputs, std::size_t rows) {
  DatasetBatch batch;
  batch.rows = rows;
  batch.first = rows_;
  for (TensorView tensor : inputs) {
    if (tensor.dtype == DType::kString) {
      auto texts = arena_->array<std::string_view>(tensor.strings.size());
      for (std::size_t i = 0; i < texts.size(); ++i) texts[i] = arena_->copy(tensor.strings[i]);
      tensor.strings = texts;
    } else {
      auto bytes = arena_->array<std::byte>(tensor.data.size());
      std::ranges::copy(tensor.data, bytes.begin());
      tensor.data = bytes;
    }
    batch.inputs.push_back(tensor);
  }
  rows_ += rows;
  batches_.push_back(std::move(batch));
}

Result<Dataset> read_dataset(const Signature& signature, const DatasetOptions& options) {
  if (options.file.ends_with(".npy")) return read_npy(signature, options);
  SLUICE_TRY(const bool log, is_prediction_log(options.file));
  if (log) return read_prediction_log(signature, options);
  return TableReading(signature, options).read();
}

}  // namespace sluice::tools::compress
