#include "core/explain_config.h"

#include <optional>
#include <string>

namespace sluice {
namespace {

std::optional<std::string> even_rows(const std::vector<std::vector<double>>& rows) {
  if (rows.size() > ExplainOptions::kMostRows) {
    return "background has " + std::to_string(rows.size()) + " rows; at most " +
           std::to_string(ExplainOptions::kMostRows) + " are used, so give the most ordinary ones";
  }
  for (const auto& row : rows) {
    if (row.empty()) return "a row of background has no numbers";
    if (row.size() != rows[0].size()) {
      return "rows of background have different lengths: " + std::to_string(rows[0].size()) +
             " numbers and " + std::to_string(row.size());
    }
  }
  return std::nullopt;
}

}  // namespace

const Schema<ExplainOptions>& ExplainOptions::schema() {
  static const auto kSchema = Schema<ExplainOptions>()
                                  .option("background", &ExplainOptions::background,
                                          "rows that predictions are compared with", {even_rows})
                                  .option("budget", &ExplainOptions::budget,
                                          "rows that the model is asked about for one explanation",
                                          {between<std::int64_t>(2, 1'000'000)});
  return kSchema;
}

}  // namespace sluice
