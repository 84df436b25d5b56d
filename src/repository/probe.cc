#include "repository/probe.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>

#include "repository/host_child.h"
#include "repository/keeper_order.h"

namespace sluice::repository {
namespace {

// How often it is looked whether a trial is still wanted.
constexpr int kPatienceMs = 100;
constexpr std::size_t kMaxText = 1024;

// What a child answers. `signal`: of a crash, told by its handler.
struct Verdict {
  int pid = 0;  // told first, alone: whom to kill
  bool good = false;
  int signal = 0;
  Code code = Code::kInternal;
  std::uint64_t memory = 0;
  std::array<char, kMaxText> message{};
};

// --- the child ----------------------------------------------------------------------------------

void tell_crash(int socket, int signal) {
  Verdict verdict;
  verdict.signal = signal;
  (void)!::write(socket, &verdict, sizeof(verdict));
}

[[noreturn]] void be_trial(const Registry<Engine>& engines, const Order& order,
                           std::vector<Fd>& fds) {
  const int answer_to = fds.at(0).get();
  begin_child(answer_to, tell_crash, order);
  (void)!::nice(5);
  Verdict verdict;
  verdict.pid = ::getpid();
  (void)!::write(answer_to, &verdict, sizeof(verdict));
  const auto loaded = load_ordered(engines, order, fds);
  if (loaded) {
    verdict.good = true;
    verdict.memory = loaded->memory;
  } else {
    verdict.code = loaded.error().code;
    put_text(verdict.message, loaded.error().message);
  }
  (void)!::write(answer_to, &verdict, sizeof(verdict));
  ::_exit(0);  // no destructor of an engine that may have been damaged
}

// --- the keeper ---------------------------------------------------------------------------------

[[noreturn]] void be_keeper(Fd orders, const Probe::Engines& fill) {
  ::prctl(PR_SET_NAME, "sluice-probe");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto keeper = ::getpid();
  // Ctrl-C goes to all processes of a terminal; the keeper ends with the server.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGCHLD, SIG_IGN);  // nobody waits for the children
  // Made once and inherited by each child. No engine may start a thread before it loads a model.
  Registry<Engine> engines;
  fill(engines);
  while (true) {
    Order order;
    std::vector<Fd> fds;
    if (!receive_order(orders.get(), order, fds)) ::_exit(0);
    if (fds.empty() || ::fork() != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != keeper) ::_exit(0);  // it ended before that held
    std::signal(SIGCHLD, SIG_DFL);
    // Or the keeper's end would not be seen while a host lives.
    { const Fd closed = std::move(orders); }
    if (order.task == Task::kHost) be_host(engines, order, fds);
    be_trial(engines, order, fds);
  }
}

Failure crashed(int signal, unsigned seconds) {
  const std::string what = "the model did not survive being loaded in a trial process: ";
  if (signal == 0) {
    return unavailable("killed", what + "it was killed, perhaps for want of memory");
  }
  if (signal == SIGALRM) {
    return unavailable("too_slow",
                       what + "it took longer than " + std::to_string(10 * seconds) + " s");
  }
  if (signal == SIGXCPU) {
    return invalid("bad_model", what + "it took more than " + std::to_string(seconds) +
                                    " s of a processor's time");
  }
  return invalid("bad_model",
                 what + "the engine crashed (" + std::string(::sigabbrev_np(signal)) + ")");
}

// Reads a whole verdict. False: the child is gone. Kills it when it is not wanted any more.
bool read_verdict(const Fd& from, Verdict& verdict, int child, const std::atomic<bool>* abandoned) {
  std::size_t done = 0;
  while (done < sizeof(verdict)) {
    pollfd wait{from.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, kPatienceMs);
    if (ready == 0 && abandoned != nullptr && *abandoned && child > 0) ::kill(child, SIGKILL);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const auto got =
        ::read(from.get(), reinterpret_cast<char*>(&verdict) + done, sizeof(verdict) - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Probe>> Probe::start(const Engines& engines) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return internal("the trial process cannot be started");
  }
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  const auto child = ::fork();
  if (child < 0) return internal("the trial process cannot be started");
  if (child == 0) {
    { const Fd closed = std::move(ours); }
    be_keeper(std::move(theirs), engines);
  }
  return std::unique_ptr<Probe>(new Probe(std::move(ours), child));
}

// The keeper sees the end of its socket and ends; it is this process's child to wait for.
Probe::~Probe() {
  { const Fd closed = std::move(keeper_); }
  ::waitpid(pid_, nullptr, 0);
}

Result<std::uint64_t> Probe::try_model(const ModelFile& file, const Trial& trial) const {
  Order order = order_for(trial.engine, file, trial.options);
  order.warmup = trial.warmup;
  SLUICE_TRY(const auto answer, send_order(keeper_, order, file));
  Verdict first;
  Verdict verdict;
  const bool told = read_verdict(answer, first, 0, nullptr) && first.signal == 0 &&
                    read_verdict(answer, verdict, first.pid, trial.abandoned);
  if (!told && trial.abandoned != nullptr && *trial.abandoned) {
    return unavailable("abandoned", "it is not wanted any more");
  }
  // A child of it that was still ending may have held its end of the socket open for a moment.
  if (!told && hung_up(keeper_)) return no_keeper();
  if (!told) return crashed(first.signal, order.seconds);
  if (verdict.signal != 0) return crashed(verdict.signal, order.seconds);
  if (verdict.good) return verdict.memory;
  return fail(verdict.code, "bad_model", verdict.message.data());
}

Result<Fd> Probe::start_host(const ModelFile& file, const Trial& trial,
                             const HostFaults& faults) const {
  Order order = order_for(trial.engine, file, trial.options);
  order.task = Task::kHost;
  order.warmup = trial.warmup;
  order.faults = faults;
  return send_order(keeper_, order, file);
}

}  // namespace sluice::repository
