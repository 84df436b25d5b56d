// The answer's half of http2_stream.h: hops to the stream's thread, frames, trailers.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "transport/connection.h"
#include "transport/gzip.h"
#include "transport/http2.h"
#include "transport/http2_stream.h"

namespace sluice::transport {
namespace {

nghttp2_nv header(std::string_view name, std::string_view value) {
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

ssize_t read_callback(nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t room,
                      std::uint32_t* flags, nghttp2_data_source* source, void*) {
  return static_cast<Http2Stream*>(source->ptr)->read_output(to, room, flags);
}

}  // namespace

template <class Work>
void Http2Stream::on_thread(Work work) {
  auto& loop = connection_->io().loop();
  if (loop.is_current()) {
    if (http2_ == nullptr) return;
    work(*this);
    if (http2_ != nullptr) http2_->output_ready();
    return;
  }
  loop.post([self = shared_from_this(), work = std::move(work)]() mutable {
    if (self->http2_ == nullptr) return;
    work(*self);
    if (self->http2_ != nullptr) self->http2_->output_ready();
  });
}

Turn& Http2Stream::turn() { return connection_->io().loop(); }

void Http2Stream::respond(Response response) {
  on_thread([response = std::move(response)](Http2Stream& self) mutable {
    self.write_response(std::move(response));
  });
}

void Http2Stream::send(std::string message) {
  on_thread([message = std::move(message)](Http2Stream& self) { self.write_message(message); });
}

void Http2Stream::finish(Code code, std::string message) {
  on_thread(
      [code, message = std::move(message)](Http2Stream& self) { self.end_call(code, message); });
}

void Http2Stream::reply(std::string message) {
  on_thread([message = std::move(message)](Http2Stream& self) {
    self.write_message(message);
    self.end_call(Code::kOk, {});
  });
}

void Http2Stream::refuse_http(int status, std::string_view reason, std::string_view message) {
  auto& service = *connection_->io().services().http;
  write_response(service.refuse(target(), status, reason, message));
}

void Http2Stream::write_response(Response response) {
  if (answered_ || http2_ == nullptr) return;
  answered_ = true;
  const fmt::format_int length(response.body.size());
  std::vector<std::pair<std::string_view, std::string>> more;
  more.emplace_back("content-length", std::string(length.data(), length.size()));
  more.emplace_back("date", connection_->io().date());
  if (!response.body.empty()) more.emplace_back("content-type", response.content_type);
  std::vector<std::string> names;
  names.reserve(response.headers.size());
  for (auto& [name, value] : response.headers) {
    std::string& lower = names.emplace_back(name);
    std::ranges::transform(lower, lower.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    });
    more.emplace_back(lower, std::move(value));
  }
  const bool with_body = !response.body.empty() && head_.method != "HEAD";
  if (with_body) {
    out_ = std::move(response.body);
    output_added(out_.size());
  }
  out_complete_ = true;
  submit_headers(response.status, more, with_body);
}

void Http2Stream::submit_headers(int status,
                                 const std::vector<std::pair<std::string_view, std::string>>& more,
                                 bool with_body) {
  const fmt::format_int status_text(status);
  std::vector<nghttp2_nv> headers;
  headers.reserve(more.size() + 1);
  headers.push_back(header(":status", {status_text.data(), status_text.size()}));
  for (const auto& [name, value] : more) headers.push_back(header(name, value));
  nghttp2_data_provider provider{};
  provider.source.ptr = this;
  provider.read_callback = read_callback;
  nghttp2_submit_response(http2_->session(), id_, headers.data(), headers.size(),
                          with_body ? &provider : nullptr);
}

void Http2Stream::submit_grpc_headers() {
  headers_sent_ = true;
  const std::array<nghttp2_nv, 4> headers = {
      header(":status", "200"), header("content-type", "application/grpc"),
      header("grpc-accept-encoding", "identity,deflate,gzip"), header("grpc-encoding", "gzip")};
  nghttp2_data_provider provider{};
  provider.source.ptr = this;
  provider.read_callback = read_callback;
  nghttp2_submit_response(http2_->session(), id_, headers.data(), response_gzip_ ? 4 : 3,
                          &provider);
}

void Http2Stream::write_message(std::string_view message) {
  if (call_ended_ || http2_ == nullptr) return;
  if (!headers_sent_) submit_grpc_headers();
  const std::size_t limit = connection_->io().services().limits.output;
  if (message.size() > limit) {
    return end_call(Code::kResourceExhausted,
                    "the answer is larger than " + human_bytes(limit) + ", which is the limit");
  }
  // One answer may always wait; more of them while all streams together hold little enough.
  if (unsent() > 0 && http2_->waiting_output() + message.size() > limit) return give_up();
  const std::size_t before = out_.size();
  if (response_gzip_) {
    const auto small = gzip(message);
    append_grpc_prefix(out_, true, small.size());
    out_ += small;
  } else {
    append_grpc_prefix(out_, false, message.size());
    out_ += message;
  }
  output_added(out_.size() - before);
  if (deferred_) {
    deferred_ = false;
    nghttp2_session_resume_data(http2_->session(), id_);
  }
}

void Http2Stream::end_call(Code code, std::string_view message) {
  if (call_ended_ || http2_ == nullptr) return;
  call_ended_ = true;
  code_ = code;
  status_text_ = encode_grpc_message(message);
  out_complete_ = true;
  if (headers_sent_) {
    if (deferred_) {
      deferred_ = false;
      nghttp2_session_resume_data(http2_->session(), id_);
    }
    return;
  }
  // No message: status and headers in one frame.
  const fmt::format_int number(static_cast<int>(code_));
  const std::array<nghttp2_nv, 5> headers = {
      header(":status", "200"), header("content-type", "application/grpc"),
      header("grpc-accept-encoding", "identity,deflate,gzip"),
      header("grpc-status", {number.data(), number.size()}), header("grpc-message", status_text_)};
  nghttp2_submit_response(http2_->session(), id_, headers.data(), status_text_.empty() ? 4 : 5,
                          nullptr);
}

void Http2Stream::submit_trailers() {
  const fmt::format_int number(static_cast<int>(code_));
  const std::array<nghttp2_nv, 2> trailers = {header("grpc-status", {number.data(), number.size()}),
                                              header("grpc-message", status_text_)};
  nghttp2_submit_trailer(http2_->session(), id_, trailers.data(), status_text_.empty() ? 1 : 2);
}

// Just now, to what waits.
void Http2Stream::output_added(std::size_t bytes) {
  if (unsent() == bytes) last_taken_ = connection_->io().loop().now();
  http2_->output_added(bytes);
}

// The client has taken nothing of what waits, and sent nothing, for long. Where the stream's own
// window is open, others may only have been before it: then any byte that left is a good sign.
bool Http2Stream::unread(std::chrono::steady_clock::time_point now) const {
  if (unsent() == 0) return false;
  auto moved = std::max(last_taken_, last_data_);
  if (nghttp2_session_get_stream_remote_window_size(http2_->session(), id_) > 0) {
    moved = std::max(moved, http2_->last_taken());
  }
  return now - moved > connection_->io().services().limits.unread_timeout;
}

// What waits goes at once: the reset may itself have to wait for a client that does not read.
void Http2Stream::give_up() {
  answered_ = true;
  call_ended_ = true;
  gone_ = true;
  http2_->output_dropped(unsent());
  out_sent_ = out_.size();
  drop_sent(out_, out_sent_);
  http2_->reset(id_, NGHTTP2_ENHANCE_YOUR_CALM);
}

ssize_t Http2Stream::read_output(std::uint8_t* to, std::size_t room, std::uint32_t* flags) {
  const std::size_t left = out_.size() - out_sent_;
  if (left == 0 && !out_complete_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t bytes = std::min(left, room);
  std::memcpy(to, out_.data() + out_sent_, bytes);
  out_sent_ += bytes;
  http2_->output_taken(bytes);
  last_taken_ = http2_->last_taken();
  if (bytes == left && out_complete_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (kind_ == Kind::kGrpc) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      submit_trailers();
    }
  }
  // What is complete grows no more: moving it would gain nothing.
  if (bytes == left || !out_complete_) drop_sent(out_, out_sent_);
  return static_cast<ssize_t>(bytes);
}

}  // namespace sluice::transport
