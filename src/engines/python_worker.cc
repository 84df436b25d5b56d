#include "engines/python_worker.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "base/checked.h"
#include "base/text.h"
#include "sklearn_worker.h"

namespace sluice::engines {
namespace {

// As in sklearn_worker.py.
enum Said : std::uint32_t { kRun = 1, kRemap = 2 };
enum Heard : std::uint32_t { kHello = 1, kLoaded = 2, kRefused = 3, kDone = 4, kRaisedError = 5 };
enum Raised : std::uint32_t { kInputError = 1, kOtherError = 2, kMemoryError = 3 };

constexpr std::chrono::microseconds kWaitAwake{150};

constexpr std::size_t kFirstMemory = std::size_t{1} << 20;
// More is not kept for the next run.
constexpr std::size_t kKeptMemory = std::size_t{64} << 20;
constexpr std::size_t kMostMemory = std::size_t{2} << 30;
constexpr std::size_t kMaxText = 1000;  // of an exception

constexpr std::string_view kBootstrap =
    "import os; exec(compile(os.pread(4, 1 << 20, 0), '<sluice>', 'exec'))";

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
    if (may_know(variable) && !replaced) out.emplace_back(variable);
  }
  out.insert(out.end(), ours.begin(), ours.end());
  return out;
}

Fd make_memory(std::size_t size) {
  Fd fd(::memfd_create("sluice-tensors", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return {};
  // A mapping of memory that somebody else has cut off would end the server.
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return {};
  return fd;
}

Fd make_program() {
  Fd fd(::memfd_create("sluice-worker", MFD_CLOEXEC));
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
  if (!out->map_memory(kFirstMemory) || !program || !model) {
    return unavailable("no_process", "there is no memory to share with a process");
  }
  const ProcessOrder process{{order.python, "-c", std::string(kBootstrap), "sluice-worker"},
                             environment(order.threads),
                             {theirs.get(), program.get(), model.get(), out->memory_fd_.get()},
                             order.memory,
                             order.own_user};
  SLUICE_TRY(out->process_, WorkerProcess::start(process));
  return out;
}

bool PythonWorker::map_memory(std::size_t size) {
  Fd fd = make_memory(size);
  if (!fd) return false;
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return false;
  mapping_ = std::shared_ptr<const void>(
      at, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  memory_ = {static_cast<std::byte*>(at), size};
  memory_fd_ = std::move(fd);
  return true;
}

bool PythonWorker::make_room(std::size_t size) {
  const bool spare = memory_.size() > kKeptMemory && size < memory_.size() / 8;
  if (size <= memory_.size() && !spare) return true;
  std::size_t next = kFirstMemory;
  while (next < size) next *= 2;
  const Message notice{kRemap, 0, next, {}};
  return map_memory(next) && send(notice) && send(notice, &memory_fd_);
}

bool PythonWorker::send(const Message& message, const Fd* with) {
  iovec part{const_cast<Message*>(&message), sizeof(message)};
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
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &head, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(sizeof(message));
}

std::string PythonWorker::text_of(const Message& message) const {
  const auto size = std::min<std::size_t>(message.rows, memory_.size());
  return {reinterpret_cast<const char*>(memory_.data()), size};
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

void PythonWorker::limit_runs(Millis limit) {
  const timeval most{limit.count() / 1000, limit.count() % 1000 * 1000};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
}

WorkerOutcome PythonWorker::run(const WorkerJob& job, std::string& said) {
  Message message{kRun, 0, job.rows, {}};
  std::size_t size = inputs_size(job.inputs);
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    message.places[i] = size;
    size += aligned(job.outputs[i].size());
  }
  if (size > kMostMemory) return WorkerOutcome::kTooMuch;
  if (!make_room(std::max(size, kMaxText))) return WorkerOutcome::kUnsent;
  write_inputs(job.inputs, memory_);
  const auto& first = job.inputs[0].shape;
  message.detail = first.rank() < 2 ? 1 : static_cast<std::uint32_t>(first[1]);
  if (!send(message)) return WorkerOutcome::kUnsent;
  return answered(job, message, said);
}

// Where nobody else runs, the answer is looked for again and again for as long as a small model
// takes: on an idle machine being woken up takes as long as the model.
ssize_t PythonWorker::receive(Message& answer, bool awake) const {
  const auto until = std::chrono::steady_clock::now() + kWaitAwake;
  while (awake && std::chrono::steady_clock::now() < until) {
    const auto got = ::recv(socket_.get(), &answer, sizeof(answer), MSG_DONTWAIT);
    if (got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) return got;
  }
  return ::recv(socket_.get(), &answer, sizeof(answer), 0);
}

WorkerOutcome PythonWorker::answered(const WorkerJob& job, const Message& sent, std::string& said) {
  Message answer;
  ssize_t got = 0;
  do {
    got = receive(answer, job.alone);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WorkerOutcome::kLate;
  if (got != static_cast<ssize_t>(sizeof(answer))) return WorkerOutcome::kDied;
  if (answer.kind == kRaisedError) {
    said = text_of(answer).substr(0, kMaxText);
    if (answer.detail == kMemoryError) return WorkerOutcome::kNoMemory;
    return answer.detail == kInputError ? WorkerOutcome::kBadInput : WorkerOutcome::kRaised;
  }
  // A model that writes to our socket is answered as one that died.
  if (answer.kind != kDone || answer.rows != job.rows) return WorkerOutcome::kDied;
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (job.outputs[i].empty()) continue;
    std::memcpy(job.outputs[i].data(), memory_.data() + sent.places[i], job.outputs[i].size());
  }
  return WorkerOutcome::kDone;
}

void PythonWorker::hang_up() { ::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace sluice::engines
