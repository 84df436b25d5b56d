#include "transport/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>

namespace sluice::transport {
namespace {

constexpr std::size_t kMaxEvents = 512;
// What is put off while the end of a turn runs still belongs to it (a batch answers, its answers
// are sent), but a chain without end must not keep the sockets waiting.
constexpr int kEndRounds = 4;

Fd checked(int fd) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), "event loop");
  return Fd(fd);
}

}  // namespace

EventLoop::EventLoop()
    : poll_(checked(epoll_create1(EPOLL_CLOEXEC))),
      wake_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // every write is an edge: the counter need not be read
  epoll_ctl(poll_.get(), EPOLL_CTL_ADD, wake_.get(), &event);
}

bool EventLoop::watch(int fd, Watcher& watcher, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watcher;
  return epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void EventLoop::unwatch(int fd) { epoll_ctl(poll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

void EventLoop::post(Work work) {
  if (is_current()) {
    mine_.push_back(std::move(work));
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
  }
  if (woken_.exchange(true)) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_.get(), &one, sizeof(one));
}

void EventLoop::after(std::chrono::milliseconds delay, Work work) {
  timers_.emplace(std::chrono::steady_clock::now() + delay, std::move(work));
}

void EventLoop::run() {
  id_ = std::this_thread::get_id();
  while (!stopping_.load(std::memory_order_relaxed)) turn();
  finish_posted();
}

void EventLoop::stop() {
  stopping_ = true;
  post([] {});
}

void EventLoop::finish_posted() {
  id_ = std::this_thread::get_id();
  bool more = true;
  while (more) {
    run_ended();
    run_posted();
    const std::lock_guard lock(mutex_);
    more = !ended_.empty() || !mine_.empty() || !posted_.empty();
  }
}

void EventLoop::turn() {
  std::array<epoll_event, kMaxEvents> events;
  const int count = epoll_wait(poll_.get(), events.data(), kMaxEvents, patience());
  now_ = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) continue;  // somebody has posted
    static_cast<Watcher*>(event.data.ptr)->on_ready(event.events);
  }
  run_ended();
  run_posted();
  run_timers();
}

int EventLoop::patience() const {
  if (!mine_.empty() || !ended_.empty()) return 0;
  if (timers_.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(timers_.begin()->first -
                                                                 std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

void EventLoop::run_ended() {
  for (int round = 0; round < kEndRounds && !ended_.empty(); ++round) {
    running_.swap(ended_);
    for (auto& work : running_) work();
    running_.clear();
  }
}

// What these post in turn waits for the next turn.
void EventLoop::run_posted() {
  running_.swap(mine_);
  if (woken_.load(std::memory_order_relaxed)) {
    // Before the list is taken: who posts after that wakes the loop up again.
    woken_.store(false);
    const std::lock_guard lock(mutex_);
    running_.insert(running_.end(), std::make_move_iterator(posted_.begin()),
                    std::make_move_iterator(posted_.end()));
    posted_.clear();
  }
  for (auto& work : running_) work();
  running_.clear();
}

void EventLoop::run_timers() {
  while (!timers_.empty() && timers_.begin()->first <= now_) {
    Work work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
}

}  // namespace sluice::transport
