// The query of a URL.
// Thread-safety: a function without state.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::frontends {

// The value of the first parameter of this name ("limit=5&x=a%20b"), percent-decoded.
std::optional<std::string> query_value(std::string_view query, std::string_view name);

}  // namespace sluice::frontends
