#include "engines/python_finder.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <vector>

#include "base/text.h"
#include "engines/python_paths.h"
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
  for (char** at = environ; *at != nullptr; ++at) out.push_back(absolute_variable(*at));
  return out;
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

// Errors: kUnavailable where the system gives no process, whichever Python it is; else those of
// this Python.
Result<Python> ask(const std::string& path) {
  ProcessOrder order{{path, "-c", std::string(kQuestion)}, own_environment(), {}, 0, false};
  order.memory = std::uint64_t{4} << 30;
  SLUICE_TRY(const auto process, WorkerProcess::start(order));
  const auto output = output_of(*process);
  for (const auto line : split(output, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 3 || words[0] != kMark) continue;
    // The path is the rest of the line, spaces and all.
    const auto at = kMark.size() + words[1].size() + 2;
    return Python{std::string(line.substr(at)), std::string(words[1])};
  }
  return invalid("no_sklearn", "it cannot import sklearn");
}

Failure no_python(std::string message) { return unavailable("no_python", std::move(message)); }

Result<Python> ask_wanted(const std::string& wanted) {
  const auto path = find_program(wanted);
  if (!path) return no_python("the Python that --python names is not on PATH");
  auto found = ask(*path);
  if (found || found.error().code == Code::kUnavailable) return found;
  return no_python("the Python that --python names cannot be used: " + found.error().message +
                   "; install scikit-learn for it, or name another one");
}

}  // namespace

Result<Python> find_python(const std::string& wanted) {
  if (!wanted.empty()) return ask_wanted(wanted);
  for (const auto& candidate : {find_program("python3"), std::optional<std::string>(kSystems)}) {
    if (!candidate) continue;
    auto found = ask(*candidate);
    if (found || found.error().code == Code::kUnavailable) return found;
  }
  return no_python(
      "there is no Python that imports sklearn: neither python3 nor the system's own does. Install "
      "scikit-learn (apt-get install python3-sklearn, or pip install scikit-learn), or name the "
      "Python that has it with --python");
}

}  // namespace sluice::engines
