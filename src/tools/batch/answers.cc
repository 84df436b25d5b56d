#include "tools/batch/answers.h"

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"
#include "core/sample.h"

namespace sluice::tools::batch {
namespace {

using clients::CellType;
using clients::TableWriter;
using Kind = AnswerColumn::Kind;

constexpr std::string_view kKeep = "keep";

AnswerColumn column(Kind kind, std::string name, CellType cell, std::string type) {
  AnswerColumn out;
  out.kind = kind;
  out.name = std::move(name);
  out.cell = cell;
  out.type = std::move(type);
  return out;
}

std::string sql_type(DType dtype) {
  switch (dtype) {
    case DType::kBool: return "BOOLEAN";
    case DType::kUint8: return "UTINYINT";
    case DType::kUint16: return "USMALLINT";
    case DType::kUint32: return "UINTEGER";
    case DType::kUint64: return "UBIGINT";
    case DType::kInt8: return "TINYINT";
    case DType::kInt16: return "SMALLINT";
    case DType::kInt32: return "INTEGER";
    case DType::kInt64: return "BIGINT";
    case DType::kFloat64: return "DOUBLE";
    case DType::kString: return "VARCHAR";
    default: return "FLOAT";
  }
}

AnswerColumn prediction_column(const Prediction& prediction) {
  const bool whole = prediction.classified || prediction.integers != nullptr;
  const std::string type = whole ? "BIGINT" : prediction.single_precision ? "FLOAT" : "DOUBLE";
  if (prediction.row_shape.rank() > 0) {
    return column(Kind::kPrediction, "prediction", CellType::kReals, type + "[]");
  }
  return column(Kind::kPrediction, "prediction", whole ? CellType::kInteger : CellType::kReal,
                type);
}

AnswerColumn output_column(const Signature& signature, std::size_t index, const Schema& schema) {
  const TensorSpec& spec = signature.outputs[index];
  std::string name = spec.name;
  const auto taken = [&](const std::string& wanted) {
    return schema.find(wanted) != Schema::npos || same_name(wanted, "prediction") ||
           same_name(wanted, "confidence") || same_name(wanted, kKeep);
  };
  while (name.empty() || taken(name)) name += "_output";
  bool scalar = true;
  for (const auto dim : spec.row_dims()) scalar = scalar && dim == 1;
  const std::string type = sql_type(spec.dtype);
  AnswerColumn out;
  if (spec.dtype == DType::kString) {
    // More texts than one are a list in JSON.
    out = column(Kind::kOutput, name, CellType::kText, type);
  } else if (!scalar) {
    out = column(Kind::kOutput, name, CellType::kReals, type + "[]");
  } else {
    const bool signed_whole = is_integer(spec.dtype) && spec.dtype != DType::kUint64;
    const bool truth = spec.dtype == DType::kBool;
    out = column(Kind::kOutput, name,
                 truth          ? CellType::kTruth
                 : signed_whole ? CellType::kInteger
                                : CellType::kReal,
                 type);
  }
  out.output = index;
  return out;
}

// Outputs of one row as the signature promises them, all zeros: what a prediction is follows from
// types and shapes alone.
Result<Prediction> sample_prediction(const Servable& servable, Arena& arena) {
  Signature outputs;
  outputs.inputs = servable.signature().outputs;
  SLUICE_TRY(const auto tensors, sample_inputs(outputs, arena));
  return servable.interpret(tensors, 1, arena);
}

Failure wrong_answer(const AnswerColumn& column) {
  return invalid("wrong_answer",
                 "the model's answers are not what its file says they are: a row's '" +
                     column.name + "' is not a " + column.type);
}

Result<void> write_prediction(TableWriter& table, const AnswerColumn& column,
                              const Prediction& prediction, std::size_t row) {
  const std::size_t width = prediction.width();
  const auto values = prediction.values.subspan(row * width, width);
  if (column.cell == CellType::kReals) return table.reals(values), Result<void>();
  if (width != 1) return wrong_answer(column);
  if (column.cell == CellType::kReal) {
    table.real(values[0]);
  } else if (prediction.integers != nullptr) {
    table.integer(prediction.integers->dtype == DType::kInt64
                      ? prediction.integers->as<std::int64_t>()[row]
                      : static_cast<std::int64_t>(number_at(*prediction.integers, row)));
  } else if (std::isfinite(values[0])) {
    table.integer(static_cast<std::int64_t>(values[0]));
  } else {
    table.null();
  }
  return {};
}

void write_texts(TableWriter& table, std::span<const std::string_view> texts) {
  if (texts.size() == 1) {
    table.text(texts[0]);
    return;
  }
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  for (const auto text : texts) json.value(text);
  json.end_array();
  table.text(out);
}

Result<void> write_output(TableWriter& table, const AnswerColumn& column, const TensorView& output,
                          std::size_t rows, std::size_t row) {
  const std::size_t width = rows == 0 ? 0 : output.elements() / rows;
  if (output.dtype == DType::kString) {
    return write_texts(table, output.strings.subspan(row * width, width)), Result<void>();
  }
  if (column.cell == CellType::kReals) {
    std::vector<double> values(width);
    for (std::size_t i = 0; i < width; ++i) values[i] = number_at(output, row * width + i);
    table.reals(values);
    return {};
  }
  if (width != 1) return wrong_answer(column);
  if (output.dtype == DType::kInt64) {
    table.integer(output.as<std::int64_t>()[row]);
  } else if (column.cell == CellType::kInteger) {
    table.integer(static_cast<std::int64_t>(number_at(output, row)));
  } else if (column.cell == CellType::kTruth) {
    table.truth(number_at(output, row) != 0);
  } else {
    table.real(number_at(output, row));
  }
  return {};
}

void write_note(TableWriter& table, const std::string& note) {
  if (note.empty()) {
    table.null();
  } else {
    table.text(note);
  }
}

}  // namespace

std::vector<clients::NewColumn> Answers::table() const {
  std::vector<clients::NewColumn> out = {{std::string(kKeep), CellType::kTruth}};
  for (const auto& one : columns) out.push_back({one.name, one.cell});
  return out;
}

bool Answers::replaces(std::string_view name) const {
  return std::ranges::any_of(columns,
                             [&](const AnswerColumn& one) { return same_name(one.name, name); });
}

Result<Answers> plan_answers(const Servable& servable, const Schema& schema,
                             const AnswerOptions& options) {
  Arena arena;
  SLUICE_TRY(const auto prediction, sample_prediction(servable, arena));
  Answers out;
  out.options = options;
  out.classified = prediction.classified;
  out.columns.push_back(prediction_column(prediction));
  out.columns.push_back(column(Kind::kConfidence, "confidence", CellType::kReal,
                               prediction.single_precision ? "FLOAT" : "DOUBLE"));
  if (options.all_outputs) {
    if (!prediction.labels.empty()) {
      out.columns.push_back(column(Kind::kLabel, "prediction_label", CellType::kText, "VARCHAR"));
    }
    for (std::size_t i = 0; i < servable.signature().outputs.size(); ++i) {
      out.columns.push_back(output_column(servable.signature(), i, schema));
    }
  }
  if (options.guard) {
    out.columns.push_back(column(Kind::kGuard, "guard", CellType::kText, "VARCHAR"));
  }
  if (options.explain) {
    out.columns.push_back(column(Kind::kExplanation, "explanation", CellType::kText, "JSON"));
  }
  return out;
}

namespace {

Result<void> write_answer(TableWriter& table, const Answers& answers, const Request& request,
                          std::size_t row, const RowNotes& notes) {
  const Prediction& prediction = request.reply.prediction;
  table.truth(true);
  for (const auto& one : answers.columns) {
    switch (one.kind) {
      case Kind::kPrediction: SLUICE_CHECK(write_prediction(table, one, prediction, row)); break;
      case Kind::kConfidence: table.real(prediction.confidences[row]); break;
      case Kind::kLabel:
        if (prediction.labels.empty()) {
          table.null();
        } else {
          table.text(prediction.labels[row]);
        }
        break;
      case Kind::kOutput:
        SLUICE_CHECK(
            write_output(table, one, request.reply.outputs[one.output], request.rows, row));
        break;
      case Kind::kGuard: write_note(table, notes.guard); break;
      case Kind::kExplanation: write_note(table, notes.explanation); break;
    }
  }
  return table.end_row();
}

}  // namespace

Result<void> write_answers(TableWriter& table, const Answers& answers, const Request& request,
                           std::size_t first, std::size_t count, std::span<const RowNotes> notes) {
  const RowNotes none;
  for (std::size_t row = first; row < first + count; ++row) {
    SLUICE_CHECK(write_answer(table, answers, request, row, notes.empty() ? none : notes[row]));
  }
  return {};
}

Result<void> write_nothing(TableWriter& table, const Answers& answers, std::size_t rows,
                           bool keep) {
  for (; rows > 0; --rows) {
    table.truth(keep);
    for (std::size_t i = 0; i < answers.columns.size(); ++i) table.null();
    SLUICE_CHECK(table.end_row());
  }
  return {};
}

}  // namespace sluice::tools::batch
