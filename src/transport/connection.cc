#include "transport/connection.h"

#include <algorithm>
#include <string_view>

#include "transport/http1.h"
#include "transport/http2.h"

namespace sluice::transport {
namespace {

using boost::system::error_code;
namespace asio = boost::asio;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::size_t kMaxUnsent = std::size_t{1} << 20;
constexpr std::size_t kMaxDiscarded = std::size_t{1} << 20;
constexpr std::chrono::seconds kLinger{1};
constexpr std::chrono::seconds kDrainIdle{1};

}  // namespace

Connection::Connection(IoThread& io, int fd, Origin origin)
    : io_(io), origin_(origin), socket_(io.loop()), last_read_(std::chrono::steady_clock::now()) {
  error_code ignored;
  socket_.assign(asio::ip::tcp::v4(), fd, ignored);
  socket_.non_blocking(true, ignored);
}

Connection::~Connection() = default;

void Connection::start() { read_on(); }

void Connection::read_on() {
  if (reading_ || closed_ || eof_) return;
  const bool wants = lingering_ || !protocol_ || (protocol_->wants_read() && unsent() < kMaxUnsent);
  if (!wants) return;
  reading_ = true;
  const auto room = in_.prepare(protocol_ && !lingering_ ? protocol_->read_hint() : 4096);
  socket_.async_read_some(asio::buffer(room.data(), room.size()),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            self->reading_ = false;
                            if (self->closed_) return;
                            if (error) return self->on_read_error(error);
                            self->on_read(bytes);
                          });
}

void Connection::on_read(std::size_t bytes) {
  in_.commit(bytes);
  last_read_ = std::chrono::steady_clock::now();
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

void Connection::on_read_error(const error_code& error) {
  if (error != asio::error::eof || lingering_ || !protocol_) return close();
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
    error_code error;
    const auto bytes =
        socket_.write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_), error);
    if (error == asio::error::would_block || error == asio::error::try_again) {
      wait_writable();
      return false;
    }
    if (error) {
      close();
      return false;
    }
    sent_ += bytes;
  }
  if (sent_ > 0) on_flushed();
  return true;
}

void Connection::begin_linger() {
  lingering_ = true;
  linger_until_ = std::chrono::steady_clock::now() + kLinger;
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  in_.clear();
  if (eof_) return close();
  read_on();
}

void Connection::on_flushed() {
  sent_ = 0;
  out_.clear();
  if (out_.capacity() > kMaxUnsent) out_.shrink_to_fit();
}

void Connection::wait_writable() {
  write_waits_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](const error_code& error) {
                       self->write_waits_ = false;
                       if (self->closed_) return;
                       if (error) return self->close();
                       self->flush();
                       if (self->closed_ || self->write_waits_ || self->lingering_) return;
                       self->protocol_->on_writable();
                       self->flush();
                       self->read_on();
                     });
}

void Connection::close_after_flush() { closing_ = true; }

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  error_code ignored;
  socket_.close(ignored);
  // The thread's list holds this connection; it may be the last to do so. Later, because a call of
  // the protocol's may be what ends it.
  io_.post([self = shared_from_this()] {
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
  drain_began_ = std::chrono::steady_clock::now();
  if (!protocol_) return;
  protocol_->drain();
  flush();
}

}  // namespace sluice::transport
