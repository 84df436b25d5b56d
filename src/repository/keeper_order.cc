#include "repository/keeper_order.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <memory>

#include "base/process_memory.h"
#include "core/sample.h"

namespace sluice::repository {
namespace {

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

bool send_with(int to, Order& order, std::span<const int> fds) {
  Message message(&order, sizeof(order));
  message.head.msg_controllen = CMSG_SPACE(fds.size_bytes());
  cmsghdr* header = CMSG_FIRSTHDR(&message.head);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(fds.size_bytes());
  std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  return ::sendmsg(to, &message.head, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(order));
}

// Of a child alone, for its signal handler.
int g_answer_to = -1;
void (*g_tell)(int socket, int signal) = nullptr;

extern "C" void tell_crash(int signal) {
  g_tell(g_answer_to, signal);
  ::_exit(1);
}

// A stack that has run over cannot be stood on to say so.
void stand_elsewhere() {
  static std::array<std::byte, 64 << 10> elsewhere;
  stack_t stack{};
  stack.ss_sp = elsewhere.data();
  stack.ss_size = elsewhere.size();
  ::sigaltstack(&stack, nullptr);
}

// Where memory is short the system ends a child rather than the server.
void be_first_to_go() {
  if (std::FILE* score = std::fopen("/proc/self/oom_score_adj", "w")) {
    std::fputs("1000", score);
    std::fclose(score);
  }
}

}  // namespace

unsigned longest_seconds(std::size_t bytes) {
  return static_cast<unsigned>(60 + bytes / 10'000'000);
}

Order order_for(const std::string& engine, const ModelFile& file, const LoadOptions& options) {
  Order out;
  put_text(out.engine, engine);
  put_text(out.file, file.name);
  out.threads = options.threads;
  out.parallel = options.parallel;
  out.allow_code = options.allow_code;
  out.process = options.process;
  out.seconds = longest_seconds(file.contents.bytes().size());
  out.empty = file.contents.descriptor() == nullptr;
  out.has_directory = file.directory != nullptr;
  return out;
}

Failure no_keeper() {
  return unavailable("no_trial", "the process that tries models is gone; restart the server");
}

Result<Fd> send_order(const Fd& keeper, Order& order, const ModelFile& file) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return unavailable("no_trial", "there are no descriptors left for a trial process");
  }
  Fd ours(ends[0]);
  const Fd theirs(ends[1]);  // closed here, so that the end of the child's is the end of all
  std::vector<int> fds = {theirs.get()};
  if (!order.empty) fds.push_back(file.contents.descriptor()->get());
  if (order.has_directory) fds.push_back(file.directory->get());
  if (!send_with(keeper.get(), order, fds)) return no_keeper();
  return ours;
}

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

bool hung_up(const Fd& socket) {
  pollfd look{socket.get(), POLLIN, 0};
  return ::poll(&look, 1, 0) > 0 && (look.revents & (POLLHUP | POLLERR)) != 0;
}

void begin_child(int socket, void (*tell)(int socket, int signal), const Order& order) {
  // A copy: whatever an engine unwinds on its way out, the handler can still tell.
  g_answer_to = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  g_tell = tell;
  stand_elsewhere();
  struct sigaction crash {};
  crash.sa_handler = tell_crash;
  crash.sa_flags = SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGXCPU, SIGALRM}) {
    ::sigaction(signal, &crash, nullptr);
  }
  rlimit processor{};
  ::getrlimit(RLIMIT_CPU, &processor);
  processor.rlim_cur = order.seconds;
  // A host's is lifted once it has loaded, which a hard one could not be.
  if (order.task == Task::kTrial) processor.rlim_max = order.seconds + 5;
  ::setrlimit(RLIMIT_CPU, &processor);
  ::alarm(10 * order.seconds);
  be_first_to_go();
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

void end_limits() {
  ::alarm(0);
  rlimit processor{};
  ::getrlimit(RLIMIT_CPU, &processor);
  processor.rlim_cur = processor.rlim_max;
  ::setrlimit(RLIMIT_CPU, &processor);
}

Result<LoadedInChild> load_ordered(const Registry<Engine>& engines, const Order& order,
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
  options.process = order.process;
  options.trial = true;
  LoadedInChild out;
  SLUICE_TRY(out.model, engine->load(file, options));
  for (int i = 0; i < order.warmup; ++i) {
    Arena arena;
    SLUICE_TRY(const auto inputs, sample_inputs(out.model->signature(), arena));
    std::vector<TensorView> outputs(out.model->signature().outputs.size());
    // Zeros need not be valid for every model.
    if (!out.model->run(inputs, outputs, arena)) break;
  }
  const auto after = own_memory("self");
  out.memory = (after > before ? after - before : 0) + out.model->bytes_in_place();
  return out;
}

}  // namespace sluice::repository
