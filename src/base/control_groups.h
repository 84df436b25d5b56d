// The control groups that this process is in, version 2 and version 1, from its own up to the root
// (cgroups(7)).
//
// Thread-safety: a function without state.
#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

namespace sluice {

enum class GroupVersion : unsigned char { kOne, kTwo };

// `see` is told each group's folder, which may not be there: a container sees its own group as the
// root, whatever it is called outside. `controller` is version 1's name for what is asked
// ("memory", "cpu"). `proc` and `groups` are where the system says so.
void for_each_group(
    const std::filesystem::path& proc, const std::filesystem::path& groups,
    std::string_view controller,
    const std::function<void(const std::filesystem::path& group, GroupVersion version)>& see);

}  // namespace sluice
