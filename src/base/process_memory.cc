#include "base/process_memory.h"

#include <array>
#include <cstdio>

#include "base/text.h"

namespace sluice {

std::uint64_t own_memory(const std::string& process) {
  std::FILE* status = std::fopen(("/proc/" + process + "/status").c_str(), "r");
  if (status == nullptr) return 0;
  std::array<char, 256> line{};
  std::uint64_t kib = 0;
  while (std::fgets(line.data(), line.size(), status) != nullptr) {
    const std::string_view text(line.data());
    if (!text.starts_with("RssAnon:")) continue;
    kib = parse_uint(trim(text.substr(8, text.find(" kB") - 8))).value_or(0);
  }
  std::fclose(status);
  return kib * 1024;
}

}  // namespace sluice
