#include "repository/host_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <string>

#include "base/text.h"
#include "repository/host_child.h"
#include "repository/keeper_order.h"
#include "repository/tensor_wire.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// It says who it is at once; a machine may be busy.
constexpr std::chrono::seconds kHelloLimit{60};
constexpr std::size_t kMaxText = 1024;

enum class Moved { kAll, kGone, kLate };

// Until the socket can be read (or written), or hangs up. False: that is too late.
bool wait_for(const Fd& socket, short events, Clock::time_point until) {
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    pollfd wait{socket.get(), events, 0};
    const int most = static_cast<int>(std::min<milliseconds::rep>(left, 60'000));
    if (::poll(&wait, 1, most) > 0) return true;
  }
}

// `move(at, size)` is send or recv, without blocking.
template <class Move>
Moved move_all(const Fd& socket, short events, std::size_t size, Clock::time_point until,
               Move move) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t moved = move(done, size - done);
    if (moved > 0) {
      done += static_cast<std::size_t>(moved);
      continue;
    }
    const bool later = moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (!later) return Moved::kGone;
    if (!wait_for(socket, events, until)) return Moved::kLate;
  }
  return Moved::kAll;
}

Moved send_all(const Fd& socket, std::span<const std::byte> bytes, Clock::time_point until) {
  return move_all(socket, POLLOUT, bytes.size(), until, [&](std::size_t at, std::size_t size) {
    return ::send(socket.get(), bytes.data() + at, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  });
}

Moved receive_all(const Fd& socket, std::span<std::byte> bytes, Clock::time_point until) {
  return move_all(socket, POLLIN, bytes.size(), until, [&](std::size_t at, std::size_t size) {
    return ::recv(socket.get(), bytes.data() + at, size, MSG_DONTWAIT);
  });
}

std::string words_for(int signal) {
  if (signal == SIGALRM || signal == SIGXCPU) return "loading the model took too long";
  const char* name = ::sigabbrev_np(signal);
  return std::string("the engine crashed (") + (name == nullptr ? "a signal" : name) + ")";
}

}  // namespace

// What a process says: a frame that is no crash, with what follows it.
struct HostProcess::Answer {
  Frame frame;
  std::span<std::byte> rest;
};

Result<std::shared_ptr<HostProcess>> HostProcess::start(const Probe& probe, const ModelFile& file,
                                                        const Trial& trial,
                                                        const HostFaults& faults) {
  SLUICE_TRY(auto socket, probe.start_host(file, trial, faults));
  const auto seconds = longest_seconds(file.contents.bytes().size());
  std::shared_ptr<HostProcess> out(new HostProcess(std::move(socket), seconds));
  Arena arena;
  SLUICE_TRY(const auto hello, out->answer(Clock::now() + kHelloLimit, kHelloLimit, arena));
  if (hello.frame.kind != FrameKind::kHello) return out->ended("its process answers nonsense");
  out->get_hold_of(static_cast<int>(hello.frame.detail));
  return out;
}

HostProcess::~HostProcess() { kill(); }

// A number may be another process's once its own has ended: what still holds its socket has not.
void HostProcess::get_hold_of(int process) {
  Fd held(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (held && !gone()) process_ = std::move(held);
  number_ = process;
}

bool HostProcess::gone() const { return hung_up(socket_); }

// The end of its socket is enough for one that reads; one that hangs does not read.
void HostProcess::kill() const {
  if (process_) {
    ::syscall(SYS_pidfd_send_signal, process_.get(), SIGKILL, nullptr, 0);
  } else if (number_ > 0 && !gone()) {
    ::kill(number_, SIGKILL);
  }
  ::shutdown(socket_.get(), SHUT_RDWR);
}

Failure HostProcess::ended(std::string why) const {
  kill();
  return fail(Code::kInternal, kHostEnded, std::move(why));
}

Result<HostProcess::Answer> HostProcess::answer(TimePoint until, milliseconds limit,
                                                Arena& arena) const {
  const auto late = [&] {
    return ended("it did not answer within " + std::to_string(limit.count() / 1000) + " s");
  };
  Answer out;
  const auto head = receive_all(socket_, std::as_writable_bytes(std::span(&out.frame, 1)), until);
  if (head == Moved::kLate) return late();
  if (head == Moved::kGone) return ended("it was killed, perhaps for want of memory");
  if (out.frame.kind == FrameKind::kCrashed) {
    return ended(words_for(static_cast<int>(out.frame.detail)));
  }
  if (out.frame.bytes > kMostFrameBytes) return ended("its process answers nonsense");
  out.rest = arena.array<std::byte>(out.frame.bytes);
  const auto rest = receive_all(socket_, out.rest, until);
  if (rest == Moved::kLate) return late();
  if (rest == Moved::kGone) return ended("it ended in the middle of an answer");
  if (out.frame.kind == FrameKind::kFailed) {
    const std::string_view text(reinterpret_cast<const char*>(out.rest.data()), out.rest.size());
    const auto code = static_cast<Code>(std::clamp<std::uint32_t>(out.frame.detail, 1, 16));
    return fail(code, "engine_failed", printable(text, kMaxText));
  }
  return out;
}

Result<std::chrono::nanoseconds> HostProcess::wait_loaded() {
  const std::chrono::seconds limit(10 * load_seconds_);
  Arena arena;
  SLUICE_TRY(const auto said, answer(Clock::now() + limit, limit, arena));
  if (said.frame.kind != FrameKind::kLoaded) return ended("its process answers nonsense");
  return std::chrono::nanoseconds(std::max<std::int64_t>(said.frame.nanoseconds, 0));
}

Result<void> HostProcess::run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                              Arena& arena, milliseconds limit, std::chrono::nanoseconds& took) {
  const std::size_t size = wire_size(inputs);
  if (size > kMostFrameBytes) {
    return fail(Code::kResourceExhausted, "too_large",
                "its inputs are larger than 64 MiB, the most for a shadow");
  }
  const auto until = Clock::now() + limit;
  Arena scratch;
  const auto question = scratch.array<std::byte>(size);
  write_tensors(inputs, question);
  const Frame frame{FrameKind::kRun, 0, size, 0};
  auto sent = send_all(socket_, std::as_bytes(std::span(&frame, 1)), until);
  if (sent == Moved::kAll) sent = send_all(socket_, question, until);
  // Where it is gone, its last words say why; they are read below.
  if (sent == Moved::kLate) {
    return ended("it did not read its inputs within " + std::to_string(limit.count() / 1000) +
                 " s");
  }
  SLUICE_TRY(const auto said, answer(until, limit, arena));
  if (said.frame.kind != FrameKind::kDone) return ended("its process answers nonsense");
  took = std::chrono::nanoseconds(said.frame.nanoseconds);
  return read_tensors(said.rest, outputs, arena);
}

}  // namespace sluice::repository
