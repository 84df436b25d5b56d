#include "transport/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "transport/http1.h"
#include "transport/http2.h"

namespace sluice::transport {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kMaxUnsent = std::size_t{1} << 20;
constexpr std::size_t kMaxDiscarded = std::size_t{1} << 20;
constexpr std::chrono::seconds kLinger{1};
constexpr std::chrono::seconds kDrainIdle{1};

}  // namespace

Connection::Connection(IoThread& io, Fd socket, Origin origin)
    : io_(io), origin_(origin), socket_(std::move(socket)), last_read_(io.loop().now()) {}

Connection::~Connection() = default;

void Connection::start() {
  if (!io_.loop().watch(socket_.get(), *this, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) close();
}

void Connection::on_ready(std::uint32_t events) {
  if (closed_) return;
  if ((events & ~std::uint32_t{EPOLLIN | EPOLLOUT}) != 0) hung_up_ = true;
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0) readable_ = true;
  if (write_waits_ && (events & ~std::uint32_t{EPOLLIN | EPOLLRDHUP}) != 0) on_writable();
  if (readable_ && !closed_ && !read_planned_ && wants_read()) read();
}

bool Connection::wants_read() const {
  if (closed_ || eof_) return false;
  return lingering_ || !protocol_ || (protocol_->wants_read() && unsent() < kMaxUnsent);
}

void Connection::read_on() {
  if (!readable_ || read_planned_ || !wants_read()) return;
  read_planned_ = true;
  io_.loop().post([self = shared_from_this()] {
    self->read_planned_ = false;
    if (self->wants_read()) self->read();
  });
}

// Once a turn, so that connections take their turns too.
void Connection::read() {
  const auto room = in_.prepare(protocol_ && !lingering_ ? protocol_->read_hint() : 4096);
  const auto bytes = ::recv(socket_.get(), room.data(), room.size(), 0);
  if (bytes > 0) {
    // What comes later is a new edge; only the end may have come before, with no more to follow.
    readable_ = hung_up_ || static_cast<std::size_t>(bytes) == room.size();
    return on_read(static_cast<std::size_t>(bytes));
  }
  readable_ = false;
  if (bytes == 0) return on_eof();
  if (errno == EINTR) {
    readable_ = true;
    return read_on();
  }
  if (errno != EAGAIN && errno != EWOULDBLOCK) close();
}

void Connection::on_read(std::size_t bytes) {
  in_.commit(bytes);
  last_read_ = io_.loop().now();
  if (lingering_) {
    discarded_ += bytes;
    in_.clear();
    if (discarded_ > kMaxDiscarded) return close();
    return read_on();
  }
  if (!protocol_) {
    const auto sniffed = sniff();
    if (sniffed == Sniffed::kRefused) return close();
    if (sniffed == Sniffed::kMore) return read_on();
  }
  protocol_->on_bytes();
  flush();
  read_on();
}

Connection::Sniffed Connection::sniff() {
  const auto view = in_.view();
  const auto common = std::min(view.size(), kPreface.size());
  if (view.substr(0, common) == kPreface.substr(0, common)) {
    if (common < kPreface.size()) return Sniffed::kMore;
    protocol_ = std::make_unique<Http2>(*this);
  } else if (origin_.http1) {
    protocol_ = std::make_unique<Http1>(*this);
  } else {
    return Sniffed::kRefused;
  }
  if (io_.draining()) protocol_->drain();  // it came too late to be told with the others
  return Sniffed::kChosen;
}

void Connection::on_eof() {
  if (lingering_ || !protocol_) return close();
  eof_ = true;
  protocol_->on_eof();
  flush();
}

void Connection::flush() {
  if (write_waits_ || closed_) return;
  bool was_full = true;
  while (was_full) {
    // The protocol stops adding when there is much; it goes on once that has left.
    was_full = unsent() >= kOutputHighWater && !closing_;
    if (!send_all()) return;
    if (was_full) protocol_->on_writable();
  }
  if (closing_ && !lingering_) begin_linger();
}

// False when the rest must wait, or the connection is lost.
bool Connection::send_all() {
  while (sent_ < out_.size()) {
    const auto bytes =
        ::send(socket_.get(), out_.data() + sent_, out_.size() - sent_, MSG_NOSIGNAL);
    if (bytes >= 0) {
      sent_ += static_cast<std::size_t>(bytes);
      drop_sent(out_, sent_);
      continue;
    }
    if (errno == EINTR) continue;
    write_waits_ = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!write_waits_) close();
    return false;
  }
  return true;
}

void Connection::begin_linger() {
  lingering_ = true;
  linger_until_ = io_.loop().now() + kLinger;
  ::shutdown(socket_.get(), SHUT_WR);
  in_.clear();
  if (eof_) return close();
  read_on();
}

void Connection::on_writable() {
  write_waits_ = false;
  flush();
  if (!write_waits_) send();
}

void Connection::send() {
  if (closed_ || lingering_) return;
  protocol_->on_writable();
  flush();
  read_on();
}

void Connection::close_after_flush() { closing_ = true; }

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  io_.loop().unwatch(socket_.get());
  socket_ = Fd();
  // The thread's list holds this connection; it may be the last to do so. Later, because a call of
  // the protocol's may be what ends it.
  io_.loop().post([self = shared_from_this()] {
    if (self->protocol_) self->protocol_->on_close();
    self->io_.forget(self);
  });
}

void Connection::tick(std::chrono::steady_clock::time_point now) {
  if (closed_) return;
  if (lingering_) {
    if (now > linger_until_) close();
    return;
  }
  if (!protocol_) {
    // Nothing useful yet: the head's time limit holds from the start.
    // While the server drains, a connection that has said nothing has a moment to do so.
    const bool late =
        drain_began_ != std::chrono::steady_clock::time_point{} && now - drain_began_ > kDrainIdle;
    if (now - last_read_ > io_.services().limits.head_timeout || late) close();
    return;
  }
  protocol_->tick(now);
  flush();
  if (closing_ && now - last_read_ > io_.services().limits.idle_timeout) close();
}

void Connection::drain() {
  if (closed_) return;
  drain_began_ = io_.loop().now();
  if (!protocol_) return;
  protocol_->drain();
  flush();
}

}  // namespace sluice::transport
