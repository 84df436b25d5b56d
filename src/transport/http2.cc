#include "transport/http2.h"

#include <array>

#include "base/log.h"

namespace sluice::transport {
namespace {

constexpr std::uint32_t kMaxStreams = 100;
constexpr std::int32_t kStreamWindow = 1 << 20;
constexpr std::int32_t kConnectionWindow = 8 << 20;
constexpr int kMaxResetsPerSecond = 200;
constexpr std::chrono::seconds kPingAfter{60};
constexpr std::chrono::seconds kPingTimeout{20};
constexpr std::chrono::milliseconds kDrainGrace{200};
constexpr std::chrono::seconds kDrainIdle{1};

std::string_view view(const std::uint8_t* text, std::size_t size) {
  return {reinterpret_cast<const char*>(text), size};
}

}  // namespace

// nghttp2's callbacks; `user` is the Http2.
struct Http2Callbacks {
  static Http2& self(void* user) { return *static_cast<Http2*>(user); }

  static int begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    Http2& http2 = self(user);
    auto stream = std::make_shared<Http2Stream>(http2, http2.connection_.shared_from_this(),
                                                frame->hd.stream_id);
    nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream.get());
    http2.streams_.emplace(frame->hd.stream_id, std::move(stream));
    return 0;
  }

  static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                    std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                    std::uint8_t, void* user) {
    Http2Stream* stream = self(user).find(frame->hd.stream_id);
    // Trailers of a request are read and thrown away.
    if (stream == nullptr || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    // A header list without end is a flood: end the connection, not only the stream.
    if (!stream->add_header(view(name, name_size), view(value, value_size))) {
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
  }

  static int data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                  std::size_t size, void* user) {
    if (Http2Stream* stream = self(user).find(id)) stream->data(view(bytes, size));
    return 0;
  }

  static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2& http2 = self(user);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_RST_STREAM) http2.count_reset();
    if (frame->hd.type == NGHTTP2_PING) http2.pinged_ = {};
    Http2Stream* stream = http2.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
      stream->head_complete(end);
    }
    const bool can_end = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (can_end && end) stream->end_of_stream();
    return 0;
  }

  static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_NO_ERROR) {
      self(user).count_reset();
    }
    return 0;
  }

  static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t, void* user) {
    auto& streams = self(user).streams_;
    const auto found = streams.find(id);
    if (found == streams.end()) return 0;
    const auto stream = std::move(found->second);
    streams.erase(found);
    stream->session_lost();
    if (stream.use_count() == 1) stream->recycle();
    return 0;
  }
};

Http2::Http2(Connection& connection) : connection_(connection) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, Http2Callbacks::begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2Callbacks::header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2Callbacks::data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2Callbacks::frame_received);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, Http2Callbacks::frame_sent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2Callbacks::stream_closed);
  nghttp2_option* options = nullptr;
  nghttp2_option_new(&options);
  nghttp2_option_set_max_outbound_ack(options, 1000);
  nghttp2_session_server_new2(&session_, callbacks, this, options);
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);

  const std::array<nghttp2_settings_entry, 3> settings = {
      {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kMaxStreams},
       {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow},
       {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
        static_cast<std::uint32_t>(connection.io().services().limits.head)}}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

Http2::~Http2() {
  on_close();
  nghttp2_session_del(session_);
}

// Streams hold the connection, and the connection holds them: somebody has to let go.
void Http2::on_close() {
  ready_.clear();
  for (auto& [id, stream] : std::exchange(streams_, {})) stream->session_lost();
}

Http2Stream* Http2::find(std::int32_t id) {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

void Http2::on_bytes() {
  in_read_ = true;
  Buffer& in = connection_.in();
  const auto bytes = in.view();
  const auto used = nghttp2_session_mem_recv(
      session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  in.clear();
  if (used < 0) failed_ = true;
  // Dispatch may add to the list only through another read, so it is taken whole.
  for (const auto& stream : std::exchange(ready_, {})) stream->dispatch();
  in_read_ = false;
  if (used == NGHTTP2_ERR_CALLBACK_FAILURE) end(NGHTTP2_ENHANCE_YOUR_CALM);
  pump();
}

void Http2::output_ready() {
  if (in_read_ || send_planned_ || connection_.closed()) return;
  send_planned_ = true;
  connection_.io().send_at_end(connection_.shared_from_this());
}

void Http2::on_writable() {
  send_planned_ = false;
  pump();
}

void Http2::reset(std::int32_t stream, std::uint32_t code) {
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream, code);
}

void Http2::pump() {
  while (connection_.unsent() < kOutputHighWater) {
    const std::uint8_t* bytes = nullptr;
    const auto size = nghttp2_session_mem_send(session_, &bytes);
    if (size < 0) failed_ = true;
    if (size <= 0) break;
    connection_.out().append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
  const bool done =
      nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
  if (failed_ || done) connection_.close_after_flush();
}

void Http2::end(std::uint32_t code) { nghttp2_session_terminate_session(session_, code); }

void Http2::count_reset() {
  const auto now = connection_.last_read();
  if (now - resets_since_ > std::chrono::seconds(1)) {
    resets_since_ = now;
    resets_ = 0;
  }
  if (++resets_ == kMaxResetsPerSecond) {
    log::warn("an HTTP/2 connection was ended: too many streams were reset");
    end(NGHTTP2_ENHANCE_YOUR_CALM);
  }
}

void Http2::on_eof() { connection_.close(); }

void Http2::drain() {
  drain_ = Drain::kAnnounced;
  drain_began_ = std::chrono::steady_clock::now();
  // First a GOAWAY that names no last stream, so that requests already on the way are served; the
  // final one follows a moment later (RFC 9113, section 6.8).
  nghttp2_submit_shutdown_notice(session_);
  pump();
}

void Http2::settle_drain(std::chrono::steady_clock::time_point now) {
  if (drain_ == Drain::kAnnounced && now - drain_began_ > kDrainGrace) {
    drain_ = Drain::kLast;
    nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(session_), NGHTTP2_NO_ERROR,
                          nullptr, 0);
    // Calls without an end of their own would keep the connection for ever.
    for (const auto& [id, stream] : streams_) stream->drain();
    pump();
  }
  if (drain_ == Drain::kLast && streams_.empty() && now - drain_began_ > kDrainIdle) {
    connection_.close_after_flush();
  }
}

void Http2::tick(std::chrono::steady_clock::time_point now) {
  if (drain_ != Drain::kNo) settle_drain(now);
  for (const auto& [id, stream] : streams_) stream->tick(now);
  pump();
  const auto idle = now - connection_.last_read();
  if (idle <= kPingAfter) return;
  if (pinged_ == std::chrono::steady_clock::time_point{}) {
    pinged_ = now;
    nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr);
    pump();
  } else if (now - pinged_ > kPingTimeout) {
    connection_.close();
  }
}

}  // namespace sluice::transport
