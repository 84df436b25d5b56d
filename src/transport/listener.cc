#include "transport/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "base/log.h"

namespace sluice::transport {
namespace {

using boost::system::error_code;

}  // namespace

Listener::Listener(IoThread& io, boost::asio::ip::tcp::acceptor acceptor,
                   std::function<bool(int)> give)
    : io_(io), acceptor_(std::move(acceptor)), pause_(io.loop()), give_(std::move(give)) {}

void Listener::begin() {
  io_.post([self = shared_from_this()] { self->wait(); });
}

void Listener::wait() {
  acceptor_.async_wait(boost::asio::ip::tcp::acceptor::wait_read,
                       [self = shared_from_this()](const error_code& error) {
                         if (error || !self->acceptor_.is_open()) return;
                         if (self->accept_all()) return self->wait();
                         // Out of descriptors: wait until some are free again.
                         self->pause_.expires_after(std::chrono::milliseconds(100));
                         self->pause_.async_wait([self](const error_code& stopped) {
                           if (!stopped && self->acceptor_.is_open()) self->wait();
                         });
                       });
}

bool Listener::accept_all() {
  while (true) {
    const int fd =
        ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS) return true;
      log::warn("no more connections can be accepted: the limit of open files is reached");
      return false;
    }
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!give_(fd)) ::close(fd);
  }
}

void Listener::end() {
  std::promise<void> done;
  auto finished = done.get_future();
  io_.post([self = shared_from_this(), &done] {
    self->accept_all();
    error_code ignored;
    self->pause_.cancel(ignored);
    self->acceptor_.close(ignored);
    done.set_value();
  });
  finished.wait();
}

}  // namespace sluice::transport
