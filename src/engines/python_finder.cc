#include "engines/python_finder.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/text.h"
#include "engines/worker_process.h"

namespace sluice::engines {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLimit{120};
constexpr std::size_t kMostOutput = std::size_t{64} << 10;
constexpr std::string_view kMark = "sluice-python";
// What a shim starts in the end is what is started from then on.
constexpr std::string_view kQuestion =
    "import sys, sklearn; print('\\nsluice-python', sklearn.__version__, sys.executable)";
constexpr const char* kSystems = "/usr/bin/python3";

std::vector<std::string> own_environment() {
  std::vector<std::string> out;
  for (char** at = environ; *at != nullptr; ++at) out.emplace_back(*at);
  return out;
}

// A name without a slash is looked for on PATH, as a shell does.
std::optional<std::string> on_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  for (const auto directory : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    auto candidate = std::string(directory) + "/" + name;
    if (!directory.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

// Everything that it writes, until it ends; nothing when that takes too long.
std::string output_of(WorkerProcess& process) {
  std::string out;
  const auto end = Clock::now() + kLimit;
  while (Clock::now() < end) {
    pollfd wait{process.output().get(), POLLIN, 0};
    if (::poll(&wait, 1, 1000) <= 0) continue;
    std::array<char, 4096> chunk{};
    const auto got = ::read(wait.fd, chunk.data(), chunk.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return out;
    const auto room = kMostOutput - std::min(out.size(), kMostOutput);
    out.append(chunk.data(), std::min(room, static_cast<std::size_t>(got)));
  }
  return {};
}

std::optional<Python> ask(const std::string& path) {
  ProcessOrder order{{path, "-c", std::string(kQuestion)}, own_environment(), {}, 0, false};
  order.memory = std::uint64_t{4} << 30;
  auto process = WorkerProcess::start(order);
  if (!process) return std::nullopt;
  const auto output = output_of(**process);
  for (const auto line : split(output, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 3 || words[0] != kMark) continue;
    // The path is the rest of the line, spaces and all.
    const auto at = kMark.size() + words[1].size() + 2;
    return Python{std::string(line.substr(at)), std::string(words[1])};
  }
  return std::nullopt;
}

}  // namespace

Result<Python> find_python(const std::string& wanted) {
  if (!wanted.empty()) {
    const auto path = on_path(wanted);
    auto found = path ? ask(*path) : std::nullopt;
    if (found) return std::move(*found);
    return unavailable("no_python",
                       "the Python that --python names cannot be started, or cannot import "
                       "sklearn: install scikit-learn for it, or name another one");
  }
  for (const auto& candidate : {on_path("python3"), std::optional<std::string>(kSystems)}) {
    if (!candidate) continue;
    if (auto found = ask(*candidate)) return std::move(*found);
  }
  return unavailable("no_python",
                     "there is no Python that imports sklearn: neither python3 nor the system's "
                     "own does. Install scikit-learn (apt-get install python3-sklearn, or pip "
                     "install scikit-learn), or name the Python that has it with --python");
}

}  // namespace sluice::engines
