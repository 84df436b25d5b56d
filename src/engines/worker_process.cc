#include "engines/worker_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "base/process_memory.h"

namespace sluice::engines {
namespace {

// nobody, on every Linux.
constexpr uid_t kNobody = 65534;
// A model may want a scratch file or a semaphore; nobody's disk is filled by it.
constexpr rlim_t kLargestFile = rlim_t{16} << 20;
// Libraries, stacks and other mappings that are not memory of its own.
constexpr std::uint64_t kMappings = std::uint64_t{8} << 30;
// Counted over all processes of the user, so only where it is not a person's.
constexpr rlim_t kMostProcesses = 1024;
constexpr rlim_t kMostFiles = 256;
constexpr int kFirstFree = 3;  // after input, output and errors
constexpr std::size_t kStack = std::size_t{256} << 10;

constexpr int kNamespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC;

enum Missing : unsigned {
  kNoUser = 1,
  kNoNetwork = 2,
  kNoProcesses = 4,
  kNoPrivileges = 8,
  kNoLimits = 16,
};

// Lives in the parent; the child reads it, and writes what it found, while the parent waits.
struct Child {
  char* const* command;
  char* const* environment;
  const int* descriptors;
  int count;
  int nothing;  // /dev/null
  int output;
  rlim_t memory;
  rlim_t mappings;
  bool own_user;
  bool namespaces;
  unsigned missing = 0;
  int error = 0;
  bool placed = false;  // its descriptors
};

// What runs in the child calls the system directly where it can: sanitizers watch the library's
// functions, and would take what the child does for something that this process has done.
#define SLUICE_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

// One that is lower already stays: only a few may raise it.
SLUICE_IN_CHILD void limit(Child& child, __rlimit_resource which, rlim_t most) {
  rlimit both{};
  if (::getrlimit(which, &both) == 0 && both.rlim_max < most) most = both.rlim_max;
  both = {most, most};
  if (::setrlimit(which, &both) != 0) child.missing |= kNoLimits;
}

// All of them first out of the way, so that none is overwritten before it was copied; no farther
// than that, as there may be few.
SLUICE_IN_CHILD bool place_descriptors(const Child& child) {
  std::array<int, 16> aside{};
  const int all = child.count + kFirstFree;
  if (all > static_cast<int>(aside.size())) return false;
  for (int i = 0; i < all; ++i) {
    const int from = i == 0           ? child.nothing
                     : i < kFirstFree ? child.output
                                      : child.descriptors[i - kFirstFree];
    aside[static_cast<std::size_t>(i)] = static_cast<int>(::syscall(SYS_fcntl, from, F_DUPFD, all));
    if (aside[static_cast<std::size_t>(i)] < 0) return false;
  }
  for (int i = 0; i < all; ++i) {
    if (::syscall(SYS_dup3, aside[static_cast<std::size_t>(i)], i, 0) < 0) return false;
  }
  // Where the kernel lacks it, what is not meant to be inherited closes by its own flag.
  (void)::syscall(SYS_close_range, static_cast<unsigned>(all), ~0U, 0U);
  return true;
}

// By system calls of their own: those of the C library would change all threads of the server,
// which is the same memory still.
SLUICE_IN_CHILD void change_user(Child& child) {
  if (!child.own_user) {
    child.missing |= kNoUser;
    return;
  }
  const bool changed = ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
                       ::syscall(SYS_setresgid, kNobody, kNobody, kNobody) == 0 &&
                       ::syscall(SYS_setresuid, kNobody, kNobody, kNobody) == 0;
  if (changed) {
    limit(child, RLIMIT_NPROC, kMostProcesses);
  } else {
    child.missing |= kNoUser;
  }
}

SLUICE_IN_CHILD void default_signals() {
  // As the kernel has it; SIG_DFL and no signals are zeros.
  struct {
    void* handler;
    unsigned long flags;
    void* restorer;
    unsigned long mask;
  } usual{};
  const unsigned long none = 0;
  for (int signal = 1; signal < NSIG; ++signal) {
    ::syscall(SYS_rt_sigaction, signal, &usual, nullptr, sizeof(none));
  }
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof(none));
}

SLUICE_IN_CHILD int become_program(void* argument) {
  Child& child = *static_cast<Child*>(argument);
  ::setsid();  // no signals from a terminal, and a process group to be killed as a whole
  child.placed = place_descriptors(child);
  if (!child.placed) {
    child.error = errno;
    ::syscall(SYS_exit_group, 127);
  }
  limit(child, RLIMIT_CORE, 0);
  limit(child, RLIMIT_FSIZE, kLargestFile);
  limit(child, RLIMIT_NOFILE, kMostFiles);
  limit(child, RLIMIT_DATA, child.memory);
  limit(child, RLIMIT_AS, child.mappings);
  change_user(child);
  // Whoever may not make namespaces may do so inside a user namespace, on many systems.
  if (!child.namespaces) {
    child.missing |= kNoProcesses;
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC) != 0) child.missing |= kNoNetwork;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) child.missing |= kNoPrivileges;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which takes it away
  (void)!::chdir("/");
  default_signals();
  ::execve(child.command[0], child.command, child.environment);
  child.error = errno;
  ::syscall(SYS_exit_group, 127);
  return 127;
}

// Signals wait, so that none is handled by a child that is still this process's memory.
pid_t clone_once(Child& child, int flags) {
  void* stack = ::mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return -1;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, &before);
  const pid_t pid = ::clone(become_program, static_cast<std::byte*>(stack) + kStack,
                            CLONE_VM | CLONE_VFORK | SIGCHLD | flags, &child);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::munmap(stack, kStack);
  errno = error;
  return pid;
}

// With namespaces, else in a user namespace of its own, else without.
pid_t clone_child(Child& child) {
  child.namespaces = true;
  pid_t pid = clone_once(child, kNamespaces);
  // Who changes users cannot do so in a user namespace without a map; it gets its own later.
  if (pid < 0 && !child.own_user) pid = clone_once(child, kNamespaces | CLONE_NEWUSER);
  if (pid >= 0) return pid;
  child.namespaces = false;
  return clone_once(child, 0);
}

std::vector<std::string> words_of(unsigned missing) {
  std::vector<std::string> out;
  if (missing & kNoUser) out.emplace_back("a user of its own");
  if (missing & kNoNetwork) out.emplace_back("a network namespace");
  if (missing & kNoProcesses) out.emplace_back("a process namespace");
  if (missing & kNoPrivileges) out.emplace_back("no new privileges");
  if (missing & kNoLimits) out.emplace_back("some limits");
  return out;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const auto& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(const ProcessOrder& order) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return unavailable("no_process", "there are no descriptors left for a process");
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);
  ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const auto command = pointers(order.command);
  const auto environment = pointers(order.environment);
  Child child{};
  child.command = command.data();
  child.environment = environment.data();
  child.descriptors = order.descriptors.data();
  child.count = static_cast<int>(order.descriptors.size());
  child.nothing = nothing.get();
  child.output = theirs.get();
  child.memory = order.memory;
  child.mappings = order.memory + kMappings;
  child.own_user = order.own_user && ::geteuid() == 0;
  const pid_t pid = clone_child(child);
  if (pid < 0) return unavailable("no_process", "the system gives no more processes");
  Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  std::unique_ptr<WorkerProcess> out(new WorkerProcess(pid, std::move(ended), std::move(ours)));
  if (!child.placed) {
    return unavailable("no_process", "there are no descriptors left for a process");
  }
  if (child.error != 0) {
    return invalid("no_program",
                   std::string("it cannot be started: ") + std::strerror(child.error));
  }
  out->missing_ = words_of(child.missing);
  return out;
}

WorkerProcess::~WorkerProcess() { bury(); }

void WorkerProcess::wait(std::chrono::milliseconds most) const {
  pollfd end{ended_.get(), POLLIN, 0};
  ::poll(&end, 1, static_cast<int>(most.count()));
}

std::string WorkerProcess::bury() {
  if (buried_) return {};
  buried_ = true;
  // While its number is still its own: a process that has ended keeps it until it is waited for.
  ::kill(pid_, SIGKILL);
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    const char* name = ::sigabbrev_np(WTERMSIG(status));
    return name == nullptr ? "a signal" : std::string("SIG") + name;
  }
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

std::chrono::nanoseconds WorkerProcess::processor_time() const {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid_, &clock) != 0 || ::clock_gettime(clock, &used) != 0) return {};
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

std::uint64_t WorkerProcess::memory() const { return own_memory(std::to_string(pid_)); }

}  // namespace sluice::engines
