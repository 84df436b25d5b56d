#include "repository/host_child.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <thread>

#include "base/priority.h"
#include "base/random.h"
#include "repository/tensor_wire.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxText = 1024;

bool send_all(const Fd& socket, const void* from, std::size_t size) {
  const auto* at = static_cast<const std::byte*>(from);
  while (size > 0) {
    const auto sent = ::send(socket.get(), at, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(const Fd& socket, void* into, std::size_t size) {
  auto* at = static_cast<std::byte*>(into);
  while (size > 0) {
    const auto got = ::recv(socket.get(), at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool send_frame(const Fd& socket, Frame frame, std::span<const std::byte> rest = {}) {
  frame.bytes = rest.size();
  return send_all(socket, &frame, sizeof(frame)) && send_all(socket, rest.data(), rest.size());
}

bool send_failure(const Fd& socket, const Error& error) {
  const auto text = std::as_bytes(std::span(error.message));
  return send_frame(socket, {FrameKind::kFailed, static_cast<std::uint32_t>(error.code), 0, 0},
                    text.first(std::min(text.size(), kMaxText)));
}

void tell_crash(int socket, int signal) {
  const Frame frame{FrameKind::kCrashed, static_cast<std::uint32_t>(signal), 0, 0};
  (void)!::write(socket, &frame, sizeof(frame));
}

std::int64_t processor_time() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return std::chrono::nanoseconds(std::chrono::seconds(used.tv_sec)).count() + used.tv_nsec;
}

bool by_chance(double share) { return share > 0 && thread_random().uniform() < share; }

void misbehave(const HostFaults& faults) {
  if (by_chance(faults.delay_rate)) std::this_thread::sleep_for(faults.delay);
  if (by_chance(faults.crash)) std::raise(SIGSEGV);
}

class Host {
 public:
  Host(Fd socket, const Model& model, const HostFaults& faults)
      : socket_(std::move(socket)), model_(model), faults_(faults) {}

  // False: nobody asks any more. What an engine throws ends the process here (noexcept), as a crash
  // whose signal is told: further out, the socket would be closed before.
  bool answer_one() const noexcept {
    Frame frame;
    if (!receive_all(socket_, &frame, sizeof(frame))) return false;
    if (frame.kind != FrameKind::kRun || frame.bytes > kMostFrameBytes) return false;
    Arena arena;
    const auto question = arena.array<std::byte>(frame.bytes);
    if (!receive_all(socket_, question.data(), question.size())) return false;
    std::vector<TensorView> outputs(model_.signature().outputs.size());
    const auto took = run(question, outputs, arena);
    if (!took) return send_failure(socket_, took.error());
    const std::size_t size = wire_size(outputs);
    if (size > kMostFrameBytes) {
      return send_failure(socket_, {Code::kResourceExhausted,
                                    "too_large",
                                    "its answer is larger than 64 MiB, the most for a shadow",
                                    {}});
    }
    const auto answer = arena.array<std::byte>(size);
    write_tensors(outputs, answer);
    return send_frame(socket_, {FrameKind::kDone, 0, 0, took->count()}, answer);
  }

 private:
  Result<std::chrono::nanoseconds> run(std::span<const std::byte> question,
                                       std::span<TensorView> outputs, Arena& arena) const {
    std::vector<TensorView> inputs(model_.signature().inputs.size());
    SLUICE_CHECK(read_tensors(question, inputs, arena));
    const auto delayed = delay_.so_far();
    const auto began = Clock::now();
    misbehave(faults_);
    SLUICE_CHECK(model_.run(inputs, outputs, arena));
    const std::chrono::nanoseconds took = Clock::now() - began;
    return std::max(took - (delay_.so_far() - delayed), std::chrono::nanoseconds(0));
  }

  const Fd socket_;
  const Model& model_;
  const HostFaults faults_;
  const RunDelay delay_;
};

}  // namespace

void be_host(const Registry<Engine>& engines, const Order& order, std::vector<Fd>& fds) {
  ::prctl(PR_SET_NAME, "sluice-host");
  Fd socket = std::move(fds.at(0));
  begin_child(socket.get(), tell_crash, order);
  become_idle();
  const auto self = static_cast<std::uint32_t>(::getpid());
  if (!send_frame(socket, {FrameKind::kHello, self, 0, 0})) ::_exit(0);
  auto loaded = load_ordered(engines, order, fds);
  if (!loaded) {
    send_failure(socket, loaded.error());
    ::_exit(0);
  }
  end_limits();
  if (!send_frame(socket, {FrameKind::kLoaded, 0, 0, processor_time()})) ::_exit(0);
  const Host host(std::move(socket), *loaded->model, order.faults);
  while (host.answer_one()) {
  }
  ::_exit(0);  // no destructor of an engine that may have been damaged
}

}  // namespace sluice::repository
