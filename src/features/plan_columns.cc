#include "features/plan_columns.h"

#include <algorithm>

#include "base/name_list.h"
#include "base/text.h"

namespace sluice::features {
namespace {

Failure bad(const std::string& what) { return invalid("bad_config", "features: " + what); }

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::size_t feature_named(const Plan& plan, std::string_view name) {
  const auto found = std::ranges::find(plan.names, name);
  return found == plan.names.end() ? kNone : static_cast<std::size_t>(found - plan.names.begin());
}

// For each of `wanted`, the feature of its name, or in the order of `features.names`.
Result<std::vector<std::size_t>> match(const Plan& plan, std::span<const std::string> wanted,
                                       bool must_match) {
  std::vector<std::size_t> out;
  std::vector<std::string> missing;
  for (const auto& name : wanted) {
    out.push_back(feature_named(plan, name));
    if (out.back() == kNone) missing.push_back(name);
  }
  if (missing.empty()) return out;
  const auto& names = plan.options.names;
  if (missing.size() < wanted.size() || must_match) {
    return bad("names does not have " + name_list(missing) +
               ", which the model takes; call features as the columns are called, and say in "
               "define where they come from");
  }
  if (names.size() != wanted.size()) {
    return bad("names has " + std::to_string(names.size()) + " features, and the model takes " +
               std::to_string(wanted.size()));
  }
  for (std::size_t i = 0; i < names.size(); ++i) out[i] = feature_named(plan, names[i]);
  return out;
}

// The columns of the only input, a table.
Result<void> place_table(Plan& plan, Signature& signature, bool declared) {
  const auto width = signature.inputs[0].dims[1];
  const auto& names = plan.options.names;
  if (signature.columns.empty()) {
    if (names.size() == 1 && width != 1) {
      // One feature that is a list: an embedding.
      if (width < 1) return bad("the width of the model's input is not known");
      plan.columns.push_back(
          {feature_named(plan, names[0]), 0, 0, static_cast<std::size_t>(width)});
      plan.row_widths = {static_cast<std::size_t>(width)};
      return {};
    }
    if (width != -1 && static_cast<std::size_t>(width) != names.size()) {
      return bad("names has " + std::to_string(names.size()) + " features, and the model takes " +
                 std::to_string(width));
    }
    signature.inputs[0].dims[1] = static_cast<std::int64_t>(names.size());
    signature.columns = names;
  }
  SLUICE_TRY(const auto features, match(plan, signature.columns, declared));
  for (std::size_t i = 0; i < features.size(); ++i) plan.columns.push_back({features[i], 0, i, 1});
  plan.row_widths = {features.size()};
  // In order: the model's own names say less than those of the features.
  if (feature_named(plan, signature.columns[0]) == kNone) signature.columns = names;
  return {};
}

// An input for each feature.
Result<void> place_inputs(Plan& plan, const Signature& signature) {
  std::vector<std::string> wanted;
  for (const auto& input : signature.inputs) wanted.push_back(input.name);
  SLUICE_TRY(const auto features, match(plan, wanted, false));
  for (std::size_t i = 0; i < features.size(); ++i) {
    std::size_t width = 1;
    for (const auto dim : signature.inputs[i].row_dims()) {
      if (dim < 1) return bad("the shape of input '" + printable(wanted[i]) + "' is not known");
      width *= static_cast<std::size_t>(dim);
    }
    plan.columns.push_back({features[i], i, 0, width});
    plan.row_widths.push_back(width);
  }
  return {};
}

}  // namespace

Result<void> place_columns(Plan& plan, Signature& signature, bool columns_declared) {
  const bool batchable = std::ranges::all_of(
      signature.inputs, [](const TensorSpec& spec) { return !spec.dims.empty(); });
  if (signature.inputs.empty() || !batchable) return bad("the model does not take rows");
  const bool table = signature.inputs.size() == 1 && signature.inputs[0].dims.size() == 2;
  return table ? place_table(plan, signature, columns_declared) : place_inputs(plan, signature);
}

}  // namespace sluice::features
