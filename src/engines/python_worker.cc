#include "engines/python_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/processors.h"
#include "base/text.h"
#include "engines/python_paths.h"
#include "sklearn_worker.h"

namespace sluice::engines {
namespace {

// As in worker_channel.py.
enum Said : std::uint32_t { kRun = 1, kRunInNewMemory = 2 };
constexpr std::uint32_t kRing = 9;
constexpr auto kUnwanted = std::uint64_t(-1);  // the place of an output
enum Heard : std::uint32_t { kHello = 1, kLoaded = 2, kRefused = 3, kDone = 4, kRaisedError = 5 };
enum Raised : std::uint32_t { kInputError = 1, kOtherError = 2, kMemoryError = 3 };

// How long who waits looks for the other's message before it sleeps: a small model's run, and what
// it takes to answer and ask again. On an idle machine being woken up takes as long as the model.
constexpr std::chrono::microseconds kWaitAwake{300};
constexpr std::uint32_t kWorkerAwake = 50;
constexpr int kLooks = 64;  // between two looks at the clock

constexpr std::size_t kFirstMemory = std::size_t{1} << 20;
// More is not kept for the next run.
constexpr std::size_t kKeptMemory = std::size_t{64} << 20;
constexpr std::size_t kMostMemory = std::size_t{2} << 30;
constexpr std::size_t kMaxText = 1000;  // of an exception

constexpr std::string_view kBootstrap =
    "import os; exec(compile(os.pread(4, 1 << 20, 0), '<sluice>', 'exec'))";

// For who looks again and again at what another processor writes.
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

constexpr std::size_t aligned(std::size_t size) { return (size + 63) / 64 * 64; }

// Only what finds a Python and its packages: the server's secrets are none of a model's business.
bool may_know(std::string_view variable) {
  constexpr std::string_view kStarts[] = {
      "PATH=",     "HOME=",        "LANG=",  "LC_",    "TZ=",
      "PYTHON",    "VIRTUAL_ENV=", "PYENV_", "CONDA_", "LD_LIBRARY_PATH=",
      "OPENBLAS_", "MKL_",         "OMP_",   "KMP_"};
  return std::ranges::any_of(kStarts, [&](auto start) { return variable.starts_with(start); });
}

std::vector<std::string> environment(int threads) {
  std::vector<std::string> out;
  const auto number = std::to_string(threads);
  std::vector<std::string> ours = {"PYTHONDONTWRITEBYTECODE=1", "LOKY_MAX_CPU_COUNT=" + number};
  for (const char* name : {"OMP", "OPENBLAS", "MKL", "BLIS", "NUMEXPR"}) {
    ours.push_back(std::string(name) + "_NUM_THREADS=" + number);
  }
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view variable(*at);
    const auto name = variable.substr(0, variable.find('=') + 1);
    const bool replaced =
        std::ranges::any_of(ours, [&](const auto& own) { return own.starts_with(name); });
    if (may_know(variable) && !replaced) out.push_back(absolute_variable(variable));
  }
  out.insert(out.end(), ours.begin(), ours.end());
  return out;
}

Fd make_program() {
  Fd fd(::memfd_create("sluice-program", MFD_CLOEXEC));
  const auto size = static_cast<ssize_t>(kSklearnWorker.size());
  if (!fd || ::write(fd.get(), kSklearnWorker.data(), kSklearnWorker.size()) != size) return {};
  return fd;
}

// The same bytes with a place of its own in them: several workers read one model file.
Fd reopened(const FileBytes& model) {
  if (model.descriptor() == nullptr) return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto path = "/proc/self/fd/" + std::to_string(model.descriptor()->get());
  return Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
}

// A single table of numbers lies there as it is. Anything else is columns, each a list of numbers
// or of texts, and where each begins is said at the front.
bool is_table(std::span<const TensorView> inputs) {
  return inputs.size() == 1 && inputs[0].dtype != DType::kString;
}

std::size_t texts_size(const TensorView& texts) {
  std::size_t out = (texts.strings.size() + 1) * sizeof(std::uint64_t);
  for (const auto text : texts.strings) out += text.size();
  return out;
}

std::size_t inputs_size(std::span<const TensorView> inputs) {
  if (is_table(inputs)) return aligned(inputs[0].data.size());
  std::size_t out = aligned(inputs.size() * sizeof(std::uint64_t));
  for (const auto& input : inputs) {
    out += aligned(input.dtype == DType::kString ? texts_size(input) : input.data.size());
  }
  return out;
}

void write_texts(const TensorView& texts, std::span<std::byte> memory, std::size_t at) {
  std::size_t end = at + (texts.strings.size() + 1) * sizeof(std::uint64_t);
  const auto put_end = [&] {
    std::memcpy(memory.data() + at, &end, sizeof(end));
    at += sizeof(end);
  };
  put_end();
  for (const auto text : texts.strings) {
    if (!text.empty()) std::memcpy(memory.data() + end, text.data(), text.size());
    end += text.size();
    put_end();
  }
}

void write_inputs(std::span<const TensorView> inputs, std::span<std::byte> memory) {
  const auto put = [&](const TensorView& input, std::size_t at) {
    if (!input.data.empty()) {
      std::memcpy(memory.data() + at, input.data.data(), input.data.size());
    }
  };
  if (is_table(inputs)) return put(inputs[0], 0);
  std::size_t at = aligned(inputs.size() * sizeof(std::uint64_t));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const bool texts = inputs[i].dtype == DType::kString;
    std::memcpy(memory.data() + i * sizeof(at), &at, sizeof(at));
    if (texts) {
      write_texts(inputs[i], memory, at);
    } else {
      put(inputs[i], at);
    }
    at += aligned(texts ? texts_size(inputs[i]) : inputs[i].data.size());
  }
}

}  // namespace

Result<std::unique_ptr<PythonWorker>> PythonWorker::start(const WorkerOrder& order) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return unavailable("no_process", "there are no descriptors left for a process");
  }
  std::unique_ptr<PythonWorker> out(new PythonWorker);
  out->socket_ = Fd(ends[0]);
  const Fd theirs(ends[1]);
  const Fd program = make_program();
  const Fd model = reopened(order.model);
  // Where there is one processor for both, whoever looks keeps the other from answering.
  out->may_look_ = WorkerMailbox::kOrdered && usable_processors() > 1;
  auto mailbox = WorkerMailbox::make(out->may_look_ ? kWorkerAwake : 0);
  auto memory = WorkerMemory::make(kFirstMemory);
  if (!mailbox || !memory || !program || !model) {
    const bool few = errno == EMFILE || errno == ENFILE;
    return unavailable("no_process", few ? "there are no descriptors left for a process"
                                         : "there is no memory to share with a process");
  }
  out->mailbox_ = std::move(*mailbox);
  out->memory_ = std::move(*memory);
  const ProcessOrder process{{order.python, "-c", std::string(kBootstrap), "sluice-worker"},
                             environment(order.threads),
                             {theirs.get(), program.get(), model.get(),
                              out->memory_.descriptor().get(), out->mailbox_.descriptor().get()},
                             order.memory,
                             order.own_user};
  SLUICE_TRY(out->process_, WorkerProcess::start(process));
  return out;
}

// `whole`: all outputs are wanted. Where not, the next run may need more again.
PythonWorker::Room PythonWorker::make_room(std::size_t size, bool whole) {
  const auto has = memory_.bytes().size();
  const bool spare = whole && has > kKeptMemory && size < has / 8;
  if (size <= has && !spare) return Room::kThere;
  std::size_t next = kFirstMemory;
  while (next < size) next *= 2;
  auto made = WorkerMemory::make(next);
  if (!made) return Room::kNone;
  memory_ = std::move(*made);
  return Room::kNew;
}

// Wakes the worker, which looks for itself what there is; or sends it a descriptor. A socket that
// is full of rings needs no other.
bool PythonWorker::ring(const Fd* with) {
  Message message{kRing, 0, mailbox_.number(), {}};
  iovec part{&message, sizeof(message)};
  msghdr head{};
  head.msg_iov = &part;
  head.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (with != nullptr) {
    head.msg_control = control.data();
    head.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&head);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = with->get();
    std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  }
  const int flags = MSG_NOSIGNAL | (with == nullptr ? MSG_DONTWAIT : 0);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &head, flags);
  } while (sent < 0 && errno == EINTR);
  const bool full = sent < 0 && errno == EAGAIN;
  return full || sent == static_cast<ssize_t>(sizeof(message));
}

std::string PythonWorker::text_of(const Message& message, std::size_t most) const {
  const auto size = std::min<std::size_t>({message.rows, memory_.bytes().size(), most});
  return {reinterpret_cast<const char*>(memory_.bytes().data()), size};
}

WorkerNews PythonWorker::news(std::string& said) {
  Message message;
  const auto got = ::recv(socket_.get(), &message, sizeof(message), MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return WorkerNews::kNothing;
  if (got != static_cast<ssize_t>(sizeof(message))) return WorkerNews::kGone;
  if (message.kind == kHello) return WorkerNews::kHello;
  said = text_of(message);
  if (message.kind == kLoaded) return WorkerNews::kLoaded;
  return message.kind == kRefused ? WorkerNews::kRefused : WorkerNews::kGone;
}

WorkerOutcome PythonWorker::run(const WorkerJob& job, std::string& said) {
  Message message{kRun, 0, job.rows, {}};
  std::size_t size = inputs_size(job.inputs);
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    message.places[i] = job.outputs[i].empty() ? kUnwanted : size;
    size += aligned(job.outputs[i].size());
  }
  if (size > kMostMemory) return WorkerOutcome::kTooMuch;
  const bool whole = std::ranges::none_of(job.outputs, &std::span<std::byte>::empty);
  const auto room = make_room(std::max(size, kMaxText), whole);
  if (room == Room::kNone) return WorkerOutcome::kUnsent;
  if (room == Room::kNew) message.kind = kRunInNewMemory;
  write_inputs(job.inputs, memory_.bytes());
  const auto& first = job.inputs[0].shape;
  message.detail = first.rank() < 2 ? 1 : static_cast<std::uint32_t>(first[1]);
  // First the question, then what it speaks of: who sleeps and is woken takes no descriptor.
  if (mailbox_.ask(message) && !ring()) return WorkerOutcome::kUnsent;
  if (room == Room::kNew && !ring(&memory_.descriptor())) return WorkerOutcome::kUnsent;
  Message got;
  const auto outcome = answer(got, job.alone);
  return outcome == WorkerOutcome::kDone ? read(got, job, message, said) : outcome;
}

// Where nobody else runs, it stays awake for a while, unless that was not enough the last time.
WorkerOutcome PythonWorker::answer(Message& out, bool alone) {
  const auto begin = Clock::now();
  const bool awake = may_look_ && alone && last_run_ < kWaitAwake;
  const auto outcome =
      awake && looked_for(out, begin + kWaitAwake) ? WorkerOutcome::kDone : slept_for(out);
  last_run_ = Clock::now() - begin;
  return outcome;
}

bool PythonWorker::looked_for(Message& out, Clock::time_point until) const {
  while (Clock::now() < until) {
    for (int look = 0; look < kLooks; ++look) {
      if (const auto got = mailbox_.answer()) {
        out = *got;
        return true;
      }
      relax();
    }
  }
  return false;
}

WorkerOutcome PythonWorker::slept_for(Message& out) {
  mailbox_.fall_asleep();
  const auto outcome = ring_or_answer(out);
  mailbox_.wake_up();
  return outcome;
}

// Rings that came too late, and whatever a model writes to our socket, wake us for nothing.
WorkerOutcome PythonWorker::ring_or_answer(Message& out) {
  const auto deadline = Clock::now() + limit_;
  // Where memory keeps no order, an answer counts once its ring has come.
  bool told = WorkerMailbox::kOrdered;
  bool gone = false;
  while (true) {
    if (const auto got = told ? mailbox_.answer() : std::nullopt) {
      out = *got;
      return WorkerOutcome::kDone;
    }
    if (gone) return mailbox_.taken() ? WorkerOutcome::kDied : WorkerOutcome::kUnsent;
    if (!wait_for_ring(deadline)) return WorkerOutcome::kLate;
    Message rung;
    const auto got = ::recv(socket_.get(), &rung, sizeof(rung), MSG_DONTWAIT);
    gone = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
    told = told || gone || (got == sizeof(rung) && rung.rows == mailbox_.number());
  }
}

// False when the time is over.
bool PythonWorker::wait_for_ring(Clock::time_point deadline) const {
  int most = -1;
  if (limit_.count() > 0) {
    const auto left = std::chrono::ceil<Millis>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    most = static_cast<int>(std::min<Millis::rep>(left, std::numeric_limits<int>::max()));
  }
  pollfd rings{socket_.get(), POLLIN, 0};
  return ::poll(&rings, 1, most) != 0 || most < 0;
}

WorkerOutcome PythonWorker::read(const Message& answer, const WorkerJob& job, const Message& asked,
                                 std::string& said) const {
  if (answer.kind == kRaisedError) {
    said = text_of(answer, kMaxText);
    if (answer.detail == kMemoryError) return WorkerOutcome::kNoMemory;
    return answer.detail == kInputError ? WorkerOutcome::kBadInput : WorkerOutcome::kRaised;
  }
  // That is no answer: the model has written into the mailbox.
  if (answer.kind != kDone || answer.rows != job.rows) return WorkerOutcome::kDied;
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (job.outputs[i].empty()) continue;
    std::memcpy(job.outputs[i].data(), memory_.bytes().data() + asked.places[i],
                job.outputs[i].size());
  }
  return WorkerOutcome::kDone;
}

void PythonWorker::hang_up() { ::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace sluice::engines
