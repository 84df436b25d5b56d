#include "base/process_usage.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace sluice {
namespace {

std::string read_file(const char* path) {
  std::string out;
  if (std::FILE* file = std::fopen(path, "r")) {
    std::array<char, 4096> part{};
    for (std::size_t got = 0; (got = std::fread(part.data(), 1, part.size(), file)) > 0;) {
      out.append(part.data(), got);
    }
    std::fclose(file);
  }
  return out;
}

std::uint64_t count_files() {
  std::uint64_t out = 0;
  if (DIR* folder = ::opendir("/proc/self/fd")) {
    while (::readdir(folder) != nullptr) ++out;
    ::closedir(folder);
  }
  return out > 3 ? out - 3 : 0;  // ".", ".." and the folder itself
}

// When the machine was started, in seconds since 1970.
double boot_time() {
  const std::string stat = read_file("/proc/stat");
  const auto at = stat.find("btime ");
  if (at == std::string::npos) return 0;
  const auto text = std::string_view(stat).substr(at + 6);
  return static_cast<double>(parse_uint(text.substr(0, text.find('\n'))).value_or(0));
}

}  // namespace

ProcessUsage process_usage() {
  ProcessUsage out;
  const std::string stat = read_file("/proc/self/stat");
  const auto name_end = stat.rfind(')');  // a name may hold anything
  if (name_end == std::string::npos) return out;
  // The third field of proc_pid_stat(5) is the first here.
  const auto fields = split(std::string_view(stat).substr(name_end + 2), ' ');
  const auto field = [&](std::size_t number) -> std::uint64_t {
    return number - 3 < fields.size() ? parse_uint(fields[number - 3]).value_or(0) : 0;
  };
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.cpu_seconds = static_cast<double>(field(14) + field(15)) / ticks;
  out.threads = field(20);
  out.started = boot_time() + static_cast<double>(field(22)) / ticks;
  out.virtual_bytes = field(23);
  out.resident_bytes = field(24) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  out.open_files = count_files();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) out.most_open_files = limit.rlim_cur;
  return out;
}

}  // namespace sluice
