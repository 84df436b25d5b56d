#include "tools/batch/parquet_table.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "tools/batch/parquet_fields.h"

namespace sluice::tools {
namespace {

using namespace parquet;

// Descriptions of all columns, which readers believe more than the schema.
constexpr std::array<std::string_view, 4> kSchemas = {"ARROW:schema",
                                                      "org.apache.spark.sql.parquet.row.metadata",
                                                      "parquet.avro.schema", "avro.schema"};

std::string shown(std::string_view column) { return "'" + printable(column) + "'"; }

// The order that the type of a column has by itself: the first of the union, an empty structure.
ThriftValue order_of_type() {
  return {ThriftType::kStruct,
          ThriftStruct{{{1, ThriftValue{ThriftType::kStruct, ThriftStruct{}}}}}};
}

// Nothing where the file does not say, or not of all columns.
const ThriftList* orders_of(const ParquetFooter& footer) {
  const auto* const orders = footer.head.list(kFileColumnOrders);
  return orders && orders->items.size() == footer.leaves ? orders : nullptr;
}

ThriftValue structures(std::vector<ThriftValue> items) {
  return {ThriftType::kList, ThriftList{ThriftType::kStruct, ThriftType::kI32, std::move(items)}};
}

std::string written(ThriftValue value) {
  std::string out;
  write_thrift(ThriftStruct{{{1, std::move(value)}}}, out);
  return out;
}

// The items of a list of the schema that belong to a column.
std::vector<ThriftValue> elements_of(const ParquetFooter& footer, const ParquetColumn& column) {
  const auto& all = footer.head.list(kFileSchema)->items;
  const auto from = all.begin() + static_cast<std::ptrdiff_t>(column.first_element);
  return {from, from + static_cast<std::ptrdiff_t>(column.elements)};
}

std::vector<ThriftValue> taken_orders(const ParquetSide& side) {
  std::vector<ThriftValue> out;
  const auto* const orders = orders_of(*side.footer);
  for (std::size_t leaf = 0; leaf < side.leaves.size(); ++leaf) {
    if (side.leaves[leaf]) out.push_back(orders ? orders->items[leaf] : order_of_type());
  }
  return out;
}

bool has_column(std::span<const ParquetTable::Column> columns, std::string_view name) {
  return std::ranges::find(columns, name, &ParquetTable::Column::name) != columns.end();
}

void drop_schemas(ThriftStruct& head) {
  auto* const pairs = head.list(kFileKeyValues);
  if (!pairs) return;
  std::erase_if(pairs->items, [](const ThriftValue& pair) {
    const auto key = pair.structure() ? pair.structure()->binary(kKey) : std::nullopt;
    return key && std::ranges::find(kSchemas, *key) != kSchemas.end();
  });
  if (pairs->items.empty()) head.erase(kFileKeyValues);
}

}  // namespace

ParquetSide side_of(const ParquetFooter& footer, std::span<const std::string> without) {
  ParquetSide out{&footer, {}, std::vector<bool>(footer.leaves, false)};
  for (std::size_t index = 0; index < footer.columns.size(); ++index) {
    const auto& column = footer.columns[index];
    if (std::ranges::find(without, column.name) != without.end()) continue;
    out.columns.push_back(index);
    for (std::size_t leaf = 0; leaf < column.leaves; ++leaf) {
      out.leaves[column.first_leaf + leaf] = true;
    }
  }
  return out;
}

Result<ParquetTable> table_of(std::span<const ParquetSide> sides) {
  ParquetTable out;
  out.name = sides.front().footer->name;
  for (const auto& side : sides) {
    const auto& footer = *side.footer;
    const auto before = out.columns.size();
    for (const auto index : side.columns) {
      const auto& column = footer.columns[index];
      if (has_column(std::span(out.columns).first(before), column.name)) {
        return invalid("bad_table", "column " + shown(column.name) + " is in " + out.name +
                                        " and in " + footer.name +
                                        "; leave it out of the first, or name the other one "
                                        "differently");
      }
      out.columns.push_back({column.name, written(structures(elements_of(footer, column)))});
    }
    out.meanings.push_back(
        {orders_of(footer) ? written(structures(taken_orders(side))) : std::string(),
         footer.created_by});
  }
  return out;
}

Result<void> check_same(const ParquetTable& expected, const ParquetTable& table) {
  const auto differs = [&](const std::string& what) -> Result<void> {
    return invalid("bad_table", table.name + " has other columns than " + expected.name + ": " +
                                    what + "; all files must have the same");
  };
  const auto common = std::min(expected.columns.size(), table.columns.size());
  for (std::size_t index = 0; index < common; ++index) {
    const auto& wanted = expected.columns[index];
    const auto& column = table.columns[index];
    if (column.name != wanted.name) {
      return differs("column " + std::to_string(index + 1) + " is " + shown(column.name) +
                     ", expected " + shown(wanted.name));
    }
    if (column.written != wanted.written) {
      return differs("column " + shown(column.name) +
                     " is of another type, or differs in whether it may be null");
    }
  }
  if (expected.columns.size() > common) {
    return differs("column " + shown(expected.columns[common].name) + " is missing");
  }
  if (table.columns.size() > common) {
    return differs("column " + shown(table.columns[common].name) + " is too many");
  }
  return {};
}

bool bounds_hold(const ParquetTable& first, const ParquetTable& table, std::size_t side) {
  if (table.meanings[side] != first.meanings[side]) return false;
  // Without an order of its own it is given that of its type, as soon as others have one.
  return !table.meanings[side].orders.empty() ||
         std::ranges::all_of(first.meanings, &std::string::empty, &ParquetTable::Meaning::orders);
}

ThriftStruct head_of(std::span<const ParquetSide> sides) {
  ThriftStruct out = sides.front().footer->head;
  std::vector<ThriftValue> schema{out.list(kFileSchema)->items.front()};
  std::vector<ThriftValue> orders;
  std::size_t columns = 0;
  bool ordered = false;
  for (const auto& side : sides) {
    columns += side.columns.size();
    for (const auto index : side.columns) {
      for (auto& element : elements_of(*side.footer, side.footer->columns[index])) {
        schema.push_back(std::move(element));
      }
    }
    for (auto& order : taken_orders(side)) orders.push_back(std::move(order));
    ordered = ordered || orders_of(*side.footer);
  }
  schema.front().structure()->set(kElementChildren,
                                  ThriftValue::i32(static_cast<std::int32_t>(columns)));
  out.set(kFileSchema, structures(std::move(schema)));
  out.erase(kFileColumnOrders);
  if (ordered) out.set(kFileColumnOrders, structures(std::move(orders)));
  const bool whole = sides.size() == 1 && columns == sides.front().footer->columns.size();
  if (!whole) drop_schemas(out);
  return out;
}

}  // namespace sluice::tools
