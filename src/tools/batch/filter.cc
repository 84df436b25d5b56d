#include "tools/batch/filter.h"

#include <string_view>
#include <vector>

#include "base/name_list.h"
#include "base/text.h"

namespace sluice::tools::batch {
namespace {

// `words`: DuckDB's, which speak of the filter and of the columns' names.
Failure bad_filter(const Schema& schema, const std::string& where, std::string_view words) {
  std::string message = "--where is no filter for this input: ";
  constexpr std::string_view kUnknown = "Referenced column \"";
  if (!words.starts_with(kUnknown)) {
    return invalid("bad_sql", message + std::string(words) +
                                  "; expected a condition of SQL, such as \"age > 30 AND country "
                                  "= 'AT'\"");
  }
  words.remove_prefix(kUnknown.size());
  const std::string name(words.substr(0, words.find('"')));
  std::vector<std::string> there;
  for (const auto& column : schema.typed) there.push_back(column.name);
  const std::vector<std::string_view> candidates(there.begin(), there.end());
  message += "it has no column '" + printable(name) + "'" + did_you_mean(name, candidates) +
             "; it has " + name_list(there);
  if (where.contains('"' + name + '"')) message += ". A text stands in single quotes: 'text'";
  return invalid("bad_sql", std::move(message));
}

}  // namespace

Result<void> check_filter(const clients::Duckdb& engine, const Schema& schema,
                          const std::string& where) {
  if (where.empty()) return {};
  SLUICE_TRY(auto session, clients::DuckdbSession::open(engine));
  std::string columns;
  for (const auto& column : schema.typed) {
    columns += (columns.empty() ? "" : ", ") + std::string("CAST(NULL AS ") + column.type +
               ") AS " + clients::sql_name(column.name);
  }
  const auto select =
      "SELECT CAST((" + where + "\n) AS BOOLEAN) AS keep FROM (SELECT " + columns + ")";
  // Run, and not only described: of constants it is found out only then.
  const auto run = session.texts("SELECT CAST(keep AS VARCHAR) FROM (" + select + ")", 1, {});
  if (run) return {};
  const Error& error = run.error();
  if (error.reason == "bad_sql") return bad_filter(schema, where, error.message);
  if (error.reason != "bad_table") return Failure(error);
  return bad_filter(schema, where, "a value in it is not of the type of what it stands beside");
}

}  // namespace sluice::tools::batch
