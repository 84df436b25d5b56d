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

#include "base/process_memory.h"
#include "core/sample.h"

namespace sluice::repository {
namespace {

// A trial that has used so much of a processor is not going to be done: a minute, and a second for
// each 10 MB. By the clock on the wall it may take ten times as long, on a machine that is busy.
unsigned longest_seconds(std::size_t bytes) {
  return static_cast<unsigned>(60 + bytes / 10'000'000);
}
// How often it is looked whether a trial is still wanted.
constexpr int kPatienceMs = 100;
constexpr std::size_t kMaxText = 1024;

// What the keeper is sent; the model's bytes, its directory and the answer's socket go with it.
struct Order {
  std::array<char, 256> engine{};
  std::array<char, 256> file{};
  int threads = 1;
  int parallel = 1;
  bool allow_code = false;
  int warmup = 0;
  unsigned seconds = 0;  // the longest that it may take
  bool empty = false;    // the file has no bytes, and so no descriptor
  bool has_directory = false;
};

// What a child answers. `signal`: of a crash, told by its handler.
struct Verdict {
  int pid = 0;  // told first, alone: whom to kill
  bool good = false;
  int signal = 0;
  Code code = Code::kInternal;
  std::uint64_t memory = 0;
  std::array<char, kMaxText> message{};
};

template <std::size_t N>
void put(std::array<char, N>& to, std::string_view text) {
  const auto size = std::min(text.size(), N - 1);
  std::memcpy(to.data(), text.data(), size);
  to[size] = '\0';
}

constexpr std::size_t kMostFds = 3;

struct Message {
  iovec part{};
  msghdr head{};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};

  Message(void* data, std::size_t size) {
    part = {data, size};
    head.msg_iov = &part;
    head.msg_iovlen = 1;
    head.msg_control = control.data();
    head.msg_controllen = control.size();
  }
};

bool send_order(int to, Order& order, std::span<const int> fds) {
  Message message(&order, sizeof(order));
  message.head.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message.head);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  return ::sendmsg(to, &message.head, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(order));
}

// False: nobody sends any more.
bool receive_order(int from, Order& order, std::vector<Fd>& fds) {
  Message message(&order, sizeof(order));
  ssize_t got = 0;
  do {
    got = ::recvmsg(from, &message.head, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(order))) return false;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message.head); at != nullptr;
       at = CMSG_NXTHDR(&message.head, at)) {
    if (at->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(at) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return true;
}

// --- the child ----------------------------------------------------------------------------------

int g_answer_to = -1;  // of the child alone, for its signal handler

// A stack that has run over cannot be stood on to say so.
void stand_elsewhere() {
  static std::array<std::byte, 64 << 10> elsewhere;
  stack_t stack{};
  stack.ss_sp = elsewhere.data();
  stack.ss_size = elsewhere.size();
  ::sigaltstack(&stack, nullptr);
}

extern "C" void tell_crash(int signal) {
  Verdict verdict;
  verdict.signal = signal;
  (void)!::write(g_answer_to, &verdict, sizeof(verdict));
  ::_exit(1);
}

// Where memory is short the system ends a trial rather than the server.
void be_first_to_go() {
  if (std::FILE* score = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("1000", score);
    std::fclose(score);
  }
}

Result<std::uint64_t> load_and_run(const Registry<Engine>& engines, const Order& order,
                                   std::vector<Fd>& fds) {
  ModelFile file;
  file.name = order.file.data();
  std::size_t next = 1;  // the first is the answer's
  if (!order.empty) {
    SLUICE_TRY(file.contents, FileBytes::of_copy(std::make_shared<Fd>(std::move(fds.at(next++)))));
  }
  if (order.has_directory) file.directory = std::make_shared<Fd>(std::move(fds.at(next)));
  const Engine* engine = engines.find(order.engine.data());
  if (engine == nullptr) return internal("there is no such engine");
  const auto before = own_memory("self");
  LoadOptions options;
  options.threads = order.threads;
  options.parallel = order.parallel;
  options.allow_code = order.allow_code;
  options.trial = true;
  SLUICE_TRY(const auto model, engine->load(file, options));
  for (int i = 0; i < order.warmup; ++i) {
    Arena arena;
    SLUICE_TRY(const auto inputs, sample_inputs(model->signature(), arena));
    std::vector<TensorView> outputs(model->signature().outputs.size());
    // Zeros need not be valid for every model.
    if (!model->run(inputs, outputs, arena)) break;
  }
  const auto after = own_memory("self");
  return (after > before ? after - before : 0) + model->bytes_in_place();
}

[[noreturn]] void be_child(const Registry<Engine>& engines, const Order& order,
                           std::vector<Fd>& fds) {
  // A copy: whatever an engine unwinds on its way out, the handler can still tell.
  g_answer_to = ::dup(fds.at(0).get());
  stand_elsewhere();
  struct sigaction crash {};
  crash.sa_handler = tell_crash;
  crash.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGXCPU, SIGALRM}) {
    ::sigaction(signal, &crash, nullptr);
  }
  const rlimit processor{order.seconds, order.seconds + 5};
  ::setrlimit(RLIMIT_CPU, &processor);
  ::alarm(10 * order.seconds);
  be_first_to_go();
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  (void)!::nice(5);
  Verdict verdict;
  verdict.pid = ::getpid();
  (void)!::write(g_answer_to, &verdict, sizeof(verdict));
  const auto memory = load_and_run(engines, order, fds);
  if (memory) {
    verdict.good = true;
    verdict.memory = *memory;
  } else {
    verdict.code = memory.error().code;
    put(verdict.message, memory.error().message);
  }
  (void)!::write(g_answer_to, &verdict, sizeof(verdict));
  ::_exit(0);  // no destructor of an engine that may have been damaged
}

// --- the keeper ---------------------------------------------------------------------------------

[[noreturn]] void be_keeper(int orders, const Probe::Engines& fill) {
  ::prctl(PR_SET_NAME, "sluice-probe");
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
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
    if (!receive_order(orders, order, fds)) ::_exit(0);
    if (fds.empty() || ::fork() != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::signal(SIGCHLD, SIG_DFL);
    be_child(engines, order, fds);
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

Failure no_keeper() {
  return unavailable("no_trial", "the process that tries models is gone; restart the server");
}

bool hung_up(const Fd& socket) {
  pollfd look{socket.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
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
    be_keeper(theirs.get(), engines);
  }
  return std::unique_ptr<Probe>(new Probe(std::move(ours), child));
}

// The keeper sees the end of its socket and ends; it is this process's child to wait for.
Probe::~Probe() {
  { const Fd closed = std::move(keeper_); }
  ::waitpid(pid_, nullptr, 0);
}

Result<std::uint64_t> Probe::try_model(const ModelFile& file, const Trial& trial) const {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return unavailable("no_trial", "there are no descriptors left for a trial process");
  }
  const Fd answer(ends[0]);
  std::optional<Fd> theirs(ends[1]);
  Order order;
  put(order.engine, trial.engine);
  put(order.file, file.name);
  order.threads = trial.options.threads;
  order.parallel = trial.options.parallel;
  order.allow_code = trial.options.allow_code;
  order.warmup = trial.warmup;
  order.seconds = longest_seconds(file.contents.bytes().size());
  std::vector<int> fds = {theirs->get()};
  order.empty = file.contents.descriptor() == nullptr;
  if (!order.empty) fds.push_back(file.contents.descriptor()->get());
  order.has_directory = file.directory != nullptr;
  if (order.has_directory) fds.push_back(file.directory->get());
  if (!send_order(keeper_.get(), order, fds)) {
    return no_keeper();
  }
  theirs.reset();  // so that the end of the child's is the end of all
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

}  // namespace sluice::repository
