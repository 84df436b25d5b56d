// YAML text → Node tree (yaml-cpp; the only folder that sees it).
// Thread-safety: a function without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/document.h"

namespace sluice::config {

// The tree, or nothing with one problem reported: where the text is not YAML, has more than one
// document, or is larger than a configuration can be.
std::optional<Node> parse_yaml(const std::string& text, Problems& problems);

// "model.yaml:3:7: unknown key 'engin'; did you mean 'engine'?"
std::string show_problem(std::string_view file, const Problem& problem);

}  // namespace sluice::config
