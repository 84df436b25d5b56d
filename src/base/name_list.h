// Names in a message, as whoever made a mistake wants to see them: "'a', 'b' and 7 more".
//
// Thread-safety: functions without state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

// The first `most`, printable and in quotes, and how many there are besides. Empty without names.
std::string name_list(std::span<const std::string> names, std::size_t most = 10);
std::string name_list(std::span<const std::string_view> names, std::size_t most = 10);

}  // namespace sluice
