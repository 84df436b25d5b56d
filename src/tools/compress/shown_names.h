// Names in sentences for people.
#pragma once

#include <string>
#include <vector>

namespace sluice::tools::compress {

// "'a', 'b', 'c' and 7 others". Thread-safety: a function without state.
std::string named(const std::vector<std::string>& names);

}  // namespace sluice::tools::compress
