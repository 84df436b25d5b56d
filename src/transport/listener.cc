#include "transport/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <future>

#include "base/log.h"

namespace sluice::transport {
namespace {

constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Listener::Listener(EventLoop& loop, Fd socket, std::function<void(Fd)> give)
    : loop_(loop), socket_(std::move(socket)), give_(std::move(give)) {}

void Listener::begin() {
  loop_.post([self = shared_from_this()] { self->wait(); });
}

// By level, not by edge: some may be left waiting.
void Listener::wait() {
  if (socket_ && !loop_.watch(socket_.get(), *this, EPOLLIN)) wait_later();
}

void Listener::wait_later() {
  loop_.after(kPause, [self = shared_from_this()] { self->wait(); });
}

void Listener::on_ready(std::uint32_t) {
  if (!socket_ || accept_all()) return;
  // Out of descriptors: wait until some are free again.
  loop_.unwatch(socket_.get());
  wait_later();
}

bool Listener::accept_all() {
  while (true) {
    const int fd = ::accept4(socket_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return true;
      log::warn("no more connections can be accepted: the limit of open files is reached");
      return false;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    give_(Fd(fd));
  }
}

void Listener::end() {
  std::promise<void> done;
  auto finished = done.get_future();
  loop_.post([self = shared_from_this(), &done] {
    self->accept_all();
    self->loop_.unwatch(self->socket_.get());
    self->socket_ = Fd();
    done.set_value();
  });
  finished.wait();
}

}  // namespace sluice::transport
