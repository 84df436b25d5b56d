#include "tools/bench/server_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/file.h"

namespace sluice::tools {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kStart = std::chrono::seconds(60);
constexpr auto kStop = std::chrono::seconds(15);

// Between fork and exec: only what is safe there.
[[noreturn]] void become_server(const char* models, int output, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) _exit(1);
  dup2(output, STDOUT_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const std::array<const char*, 12> arguments = {
      "sluice",      "serve",        models,        "--http",      "127.0.0.1:0", "--grpc",
      "127.0.0.1:0", "--management", "127.0.0.1:0", "--log-level", "error",       nullptr};
  execv("/proc/self/exe", const_cast<char* const*>(arguments.data()));
  _exit(127);
}

// The first line that comes, or what has come when it ends or time is up.
std::string first_line(int fd) {
  std::string out;
  const auto until = Clock::now() + kStart;
  while (out.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
    pollfd ready{fd, POLLIN, 0};
    if (left.count() <= 0 || poll(&ready, 1, static_cast<int>(left.count())) <= 0) break;
    std::array<char, 512> chunk;
    const auto got = read(fd, chunk.data(), chunk.size());
    if (got <= 0) break;
    out.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return out;
}

}  // namespace

std::string http_port_of(std::string_view line) {
  constexpr std::string_view kStarts = "listening  http 127.0.0.1:";
  if (!line.starts_with(kStarts)) return {};
  line.remove_prefix(kStarts.size());
  return std::string(line.substr(0, line.find_first_not_of("0123456789")));
}

Result<ServerProcess> ServerProcess::start(const std::filesystem::path& models) {
  std::array<int, 2> pipe{};
  if (pipe2(pipe.data(), O_CLOEXEC) != 0) return internal("no pipe can be made");
  const Fd ours(pipe[0]);
  Fd theirs(pipe[1]);
  const std::string path = models.string();
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return internal("no process can be started");
  if (pid == 0) become_server(path.c_str(), theirs.get(), parent);
  theirs = Fd();
  ServerProcess out(pid);
  out.port_ = http_port_of(first_line(ours.get()));
  if (out.port_.empty())
    return unavailable("unreachable", "the server to be measured does not start");
  return out;
}

bool ServerProcess::running() {
  // A child that was waited for has no number any more, and another process may get it.
  if (pid_ != 0 && waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = 0;
  return pid_ != 0;
}

ServerProcess::~ServerProcess() {
  if (pid_ == 0) return;
  kill(pid_, SIGTERM);
  const auto until = Clock::now() + kStop;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (Clock::now() > until) kill(pid_, SIGKILL);
    std::this_thread::sleep_for(milliseconds(5));
  }
}

}  // namespace sluice::tools
