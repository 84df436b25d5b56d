#include "tools/batch/binding.h"

#include <algorithm>
#include <optional>

#include "base/name_list.h"
#include "base/text.h"

namespace sluice::tools::batch {
namespace {

using clients::sql_name;

bool one_value(const TensorSpec& spec) {
  return std::ranges::all_of(spec.table_dims(), [](std::int64_t dim) { return dim == 1; });
}

// -1: any number.
std::int64_t values_of_row(const TensorSpec& spec) {
  std::int64_t out = 1;
  for (const auto dim : spec.table_dims()) {
    if (dim < 0 || __builtin_mul_overflow(out, dim, &out)) return -1;
  }
  return out;
}

// A single input of two dimensions that is given value by value.
bool is_table(const Signature& signature) {
  return signature.inputs.size() == 1 && signature.inputs[0].dims.size() == 2;
}

// ---- types -------------------------------------------------------------------------------------

struct Depth {
  std::string element;
  std::size_t lists = 0;
};

// DOUBLE[][] is a DOUBLE in two lists; FLOAT[3] is one list as well.
Depth depth_of(std::string type) {
  Depth out;
  while (type.ends_with(']')) {
    type.resize(type.rfind('['));
    ++out.lists;
  }
  out.element = std::move(type);
  return out;
}

bool is_one_of(std::string_view type, std::initializer_list<std::string_view> types) {
  return std::ranges::find(types, type) != types.end();
}

bool is_integer(std::string_view type) {
  return is_one_of(type, {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT",
                          "USMALLINT", "UINTEGER"});
}

bool is_number(std::string_view type) {
  return is_integer(type) || type.starts_with("DECIMAL") ||
         is_one_of(type, {"UBIGINT", "HUGEINT", "UHUGEINT", "FLOAT", "DOUBLE"});
}

bool is_text(std::string_view type) {
  return is_one_of(type, {"VARCHAR", "JSON"}) || type.starts_with("ENUM");
}

// Nothing: the model's type cannot be had of it.
std::optional<Reading> reading_of(DType dtype, std::string_view element, bool list) {
  if (dtype == DType::kString) return Reading::kText;
  if (is_text(element)) return Reading::kText;
  if (!is_number(element)) return std::nullopt;
  if (dtype == DType::kFloat32 && element == "FLOAT" && !list) return Reading::kFloat;
  if (is_floating(dtype)) return Reading::kReal;
  if (is_integer(element)) return Reading::kInteger;
  if (element == "UBIGINT") return Reading::kUnsigned;
  return Reading::kReal;
}

std::string_view sql_type(Reading reading) {
  switch (reading) {
    case Reading::kFloat: return "FLOAT";
    case Reading::kReal: return "DOUBLE";
    case Reading::kInteger: return "BIGINT";
    case Reading::kUnsigned: return "UBIGINT";
    case Reading::kText: break;
  }
  return "VARCHAR";
}

// True where lists in lists have the sizes of these dimensions.
std::string shape_test(const std::string& list, std::span<const std::int64_t> dims, int level) {
  std::string out;
  if (dims[0] >= 0) out = "len(" + list + ") = " + std::to_string(dims[0]);
  if (dims.size() > 1) {
    const std::string item = "x" + std::to_string(level);
    const auto inner = shape_test(item, dims.subspan(1), level + 1);
    out += (out.empty() ? "" : " AND ") + std::string("list_aggregate([") + inner + " FOR " + item +
           " IN " + list + "], 'bool_and')";
  }
  return out.empty() ? "true" : "(" + out + ")";
}

// Lists in lists become one, and null where they have another shape.
std::string flat_list(const std::string& value, const TensorSpec& spec, std::size_t lists,
                      std::string_view type) {
  std::string flat = value;
  for (std::size_t i = 1; i < lists; ++i) flat = "flatten(" + flat + ")";
  flat = "CAST(" + flat + " AS " + std::string(type) + "[])";
  if (lists < 2) return flat;
  return "CASE WHEN " + shape_test(value, spec.table_dims(), 0) + " THEN " + flat + " END";
}

Failure wrong_type(const Field& field, const TensorSpec& spec, const std::string& type,
                   std::string_view instead) {
  return invalid("wrong_type", "column '" + printable(field.column) + "' is " + printable(type) +
                                   ", and the model takes " + std::string(name_of(spec.dtype)) +
                                   " " + show_shape(spec.dims) + " there; " + std::string(instead));
}

// How the column of `field` is read for the model.
Result<void> read_as(Field& field, const TensorSpec& spec, const Schema& schema, bool of_table) {
  const auto at = schema.find(field.column);
  const auto& column = schema.raw[at];
  const std::string name = sql_name(column.name);
  const bool json = column.type == "JSON";
  field.column = column.name;
  field.list = !of_table && !one_value(spec);
  auto [element, lists] = depth_of(column.type);
  const std::size_t rank = spec.table_dims().size();
  if (json && field.list) {
    const bool text = spec.dtype == DType::kString;
    element = text ? "VARCHAR" : is_floating(spec.dtype) ? "DOUBLE" : "BIGINT";
    lists = rank;
  }
  if (field.list && lists != 1 && lists != rank) {
    return wrong_type(field, spec, column.type,
                      "write a row's values as one list in a column, or "
                      "as lists in lists of that shape");
  }
  if (!field.list && lists > 0) {
    return wrong_type(field, spec, column.type, "write one value a row");
  }
  const auto reading = reading_of(spec.dtype, element, field.list);
  if (!reading || (field.list && is_text(element) && spec.dtype != DType::kString)) {
    return wrong_type(field, spec, column.type,
                      "write it as numbers, or name another column with "
                      "--columns or --map");
  }
  field.reading = *reading;
  const std::string type(sql_type(*reading));
  if (field.list) {
    std::string value = name;
    if (json) {
      std::string nested = element;
      for (std::size_t i = 0; i < lists; ++i) nested += "[]";
      value = "TRY_CAST(" + name + " AS " + nested + ")";
    }
    field.sql = flat_list(value, spec, lists, type);
    // In JSON lists may be nested in one row and flat in the next.
    if (json && lists > 1) {
      field.sql = "COALESCE(" + field.sql + ", TRY_CAST(" + name + " AS " + type + "[]))";
    }
  } else if (json) {
    field.sql = "(" + name + " ->> '$')";
  } else {
    field.sql = "CAST(" + name + " AS " + type + ")";
  }
  return {};
}

// ---- names -------------------------------------------------------------------------------------

class Binder {
 public:
  Binder(const Signature& signature, const Schema& schema, const BindOptions& options)
      : signature_(signature), schema_(schema), options_(options) {
    for (const auto& column : schema.raw) {
      const bool made = std::ranges::any_of(
          options.made, [&](const std::string& name) { return same_name(name, column.name); });
      if (!made) there_.push_back(column.name);
    }
  }

  Result<Binding> bind() {
    list_features();
    SLUICE_CHECK(check_mapping());
    SLUICE_CHECK(options_.columns.empty() ? by_name() : by_order(options_.columns));
    for (auto& field : out_.fields) {
      SLUICE_CHECK(read_as(field, signature_.inputs[field.input], schema_, values_));
    }
    return std::move(out_);
  }

 private:
  void add(std::string feature, std::size_t input, std::size_t place) {
    Field field;
    field.feature = std::move(feature);
    field.input = input;
    field.place = place;
    out_.fields.push_back(std::move(field));
  }

  // The whole row is in one list of the table.
  bool as_one_list() const {
    const auto& input = signature_.inputs[0];
    std::string name = input.name;
    if (options_.columns.size() == 1) name = options_.columns[0];
    if (const auto mapped = options_.mapping.find(name); mapped != options_.mapping.end()) {
      name = mapped->second;
    }
    if (options_.columns.size() > 1 || signature_.column_named(name) != Signature::npos) {
      return false;
    }
    const auto at = schema_.find(name);
    return at != Schema::npos && input.dims[1] != 1 &&
           (schema_.raw[at].type.ends_with(']') || schema_.raw[at].type == "JSON");
  }

  // An image, say, whose pixels are a column each.
  bool spread_out() const {
    if (signature_.inputs.size() != 1 || signature_.inputs[0].dims.size() < 3) return false;
    const auto& input = signature_.inputs[0];
    const std::size_t given = options_.columns.empty() ? there_.size() : options_.columns.size();
    return schema_.find(input.name) == Schema::npos && !options_.mapping.contains(input.name) &&
           values_of_row(input) == static_cast<std::int64_t>(given);
  }

  void list_features() {
    values_ = (is_table(signature_) && !as_one_list()) || spread_out();
    if (!values_) {
      for (std::size_t i = 0; i < signature_.inputs.size(); ++i)
        add(signature_.inputs[i].name, i, 0);
      const bool named = out_.fields.size() == 1 && signature_.columns.size() == 1;
      if (named) out_.fields[0].feature = signature_.columns[0];
      return;
    }
    const auto& names = signature_.columns;
    const auto width = values_of_row(signature_.inputs[0]);
    std::size_t count =
        names.empty() ? static_cast<std::size_t>(std::max<std::int64_t>(width, 0)) : names.size();
    // A model that takes any number of columns takes all that are there.
    if (count == 0) count = options_.columns.empty() ? there_.size() : options_.columns.size();
    for (std::size_t i = 0; i < count; ++i) {
      add(i < names.size() ? names[i] : std::string(), 0, i);
    }
    if (count == 1 && names.empty()) out_.fields[0].feature = signature_.inputs[0].name;
  }

  Result<void> check_mapping() const {
    std::vector<std::string_view> features;
    for (const auto& field : out_.fields) features.push_back(field.feature);
    for (const auto& [feature, column] : options_.mapping) {
      if (std::ranges::find(features, feature) == features.end()) {
        return invalid("missing_feature", "the mapping names '" + printable(feature) +
                                              "', which is no feature of the model" +
                                              did_you_mean(feature, features));
      }
      if (schema_.find(column) == Schema::npos) return unknown_column(column, "the mapping");
    }
    return {};
  }

  Failure unknown_column(const std::string& name, const std::string& who) const {
    const std::vector<std::string_view> candidates(there_.begin(), there_.end());
    return invalid("unknown_column", who + " names the column '" + printable(name) +
                                         "', which the input does not have" +
                                         did_you_mean(name, candidates) + "; it has " +
                                         name_list(there_) + strange_names(schema_));
  }

  Result<void> by_order(const std::vector<std::string>& columns) {
    if (columns.size() != out_.fields.size()) {
      return invalid("wrong_columns", std::to_string(columns.size()) +
                                          " columns are given, and "
                                          "the model takes " +
                                          std::to_string(out_.fields.size()));
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (schema_.find(columns[i]) == Schema::npos) return unknown_column(columns[i], "--columns");
      out_.fields[i].column = columns[i];
      if (out_.fields[i].feature.empty()) out_.fields[i].feature = columns[i];
    }
    return {};
  }

  Result<void> by_name() {
    const bool nameless =
        std::ranges::all_of(out_.fields, [](const Field& field) { return field.feature.empty(); });
    if (nameless && !out_.fields.empty()) return without_names();
    std::vector<std::string> missing;
    for (auto& field : out_.fields) {
      const auto mapped = options_.mapping.find(field.feature);
      const auto& name = mapped == options_.mapping.end() ? field.feature : mapped->second;
      field.column = name;
      if (schema_.find(name) == Schema::npos) missing.push_back(name);
    }
    if (missing.empty()) return {};
    const std::vector<std::string_view> candidates(there_.begin(), there_.end());
    return invalid("missing_feature",
                   "the input has no column " + name_list(missing) + ", which the model takes" +
                       did_you_mean(missing[0], candidates) + "; it has " + name_list(there_) +
                       strange_names(schema_) + ". " + options_.remedy);
  }

  Result<void> without_names() {
    if (there_.size() == out_.fields.size()) {
      out_.in_order = true;
      return by_order(there_);
    }
    return invalid("wrong_columns",
                   "the model takes " + std::to_string(out_.fields.size()) +
                       " columns and does not name them, and the input has " +
                       std::to_string(there_.size()) +
                       "; list those that it takes, in its order, with --columns a,b,c, or name "
                       "them under inputs: in model.yaml" +
                       strange_names(schema_));
  }

  const Signature& signature_;
  const Schema& schema_;
  const BindOptions& options_;
  std::vector<std::string> there_;
  bool values_ = false;  // a row of the one input comes value by value
  Binding out_;
};

}  // namespace

Result<Binding> bind(const Signature& signature, const Schema& schema, const BindOptions& options) {
  return Binder(signature, schema, options).bind();
}

}  // namespace sluice::tools::batch
