#include "transport/http2_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/text.h"
#include "transport/connection.h"
#include "transport/framing_check.h"
#include "transport/gzip.h"
#include "transport/http2.h"

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

constexpr std::size_t kMaxDiscarded = std::size_t{1} << 20;
constexpr std::size_t kMaxBufferedOutput = std::size_t{256} << 20;

}  // namespace

Http2Stream::Http2Stream(Http2& http2, std::shared_ptr<Connection> connection, std::int32_t id)
    : http2_(&http2), connection_(std::move(connection)), id_(id) {
  text_.reserve(512);
  pieces_.reserve(12);
  head_.management = connection_->origin().management;
}

Http2Stream::~Http2Stream() = default;

template <class Work>
void Http2Stream::on_thread(Work work) {
  auto& io = connection_->io();
  if (io.is_current()) {
    if (http2_ == nullptr) return;
    work(*this);
    if (http2_ != nullptr) http2_->output_ready();
    return;
  }
  io.post([self = shared_from_this(), work = std::move(work)]() mutable {
    if (self->http2_ == nullptr) return;
    work(*self);
    if (self->http2_ != nullptr) self->http2_->output_ready();
  });
}

// --- request -------------------------------------------------------------------------------------

bool Http2Stream::add_header(std::string_view name, std::string_view value) {
  const auto& limits = connection_->io().services().limits;
  if (text_.size() + name.size() + value.size() > limits.head ||
      pieces_.size() > limits.headers + 4) {
    headers_too_large_ = true;
    // A little more is answered with 431; without end it is a flood.
    return text_.size() + name.size() + value.size() < 4 * limits.head &&
           pieces_.size() < 4 * limits.headers;
  }
  pieces_.push_back({text_.size(), name.size(), text_.size() + name.size(), value.size()});
  text_.append(name).append(value);
  return true;
}

bool Http2Stream::parse_pseudo_headers() {
  std::string_view target;
  std::string_view authority;
  for (const auto& piece : pieces_) {
    const std::string_view text(text_);
    const auto name = text.substr(piece.name, piece.name_size);
    const auto value = text.substr(piece.value, piece.value_size);
    if (name == ":method") head_.method = value;
    if (name == ":path") target = value;
    if (name == ":authority") authority = value;
    if (!name.starts_with(':')) head_.headers.push_back({name, value});
  }
  if (target.size() > connection_->io().services().limits.request_line) {
    refuse_http(414, "target_too_long", "the path is longer than 8 KiB");
    return false;
  }
  auto checked = check_target(target, authority, path_storage_);
  if (!checked) {
    refuse_http(checked.error().status, checked.error().reason, checked.error().message);
    return false;
  }
  head_.path = checked->path;
  head_.query = checked->query;
  return true;
}

void Http2Stream::head_complete(bool) {
  if (headers_too_large_) {
    return refuse_http(431, "headers_too_large", "the headers are larger than 32 KiB");
  }
  if (!parse_pseudo_headers()) return;
  const auto type = head_.find("content-type").value_or(std::string_view());
  if (type.starts_with("application/grpc")) {
    kind_ = Kind::kGrpc;
    begin_grpc();
  } else {
    begin_http();
  }
}

void Http2Stream::begin_http() {
  admission_ = connection_->io().services().http->admit(head_);
  if (admission_.refusal) write_response(std::move(*admission_.refusal));
}

void Http2Stream::begin_grpc() {
  method_ = connection_->io().services().grpc->find(head_.path);
  if (method_ == nullptr) {
    return end_call(Code::kUnimplemented, "there is no method " + printable(head_.path, 128));
  }
  const auto encoding = head_.find("grpc-encoding").value_or("identity");
  request_gzip_ = encoding == "gzip" || encoding == "deflate";
  if (!request_gzip_ && encoding != "identity") {
    return end_call(Code::kUnimplemented,
                    "messages are understood plain or with gzip or deflate, not as '" +
                        printable(encoding, 32) + "'");
  }
  response_gzip_ =
      request_gzip_ && accepts_encoding(head_.find("grpc-accept-encoding").value_or(""), "gzip");
  if (const auto timeout = head_.find("grpc-timeout")) {
    const auto parsed = parse_grpc_timeout(*timeout);
    if (!parsed) return end_call(Code::kInvalidArgument, "grpc-timeout is malformed");
    deadline_ = std::chrono::steady_clock::now() + *parsed;
  }
  if (method_->streaming) stream_ = method_->streaming(shared_from_this());
}

void Http2Stream::data(std::string_view bytes) {
  if (over()) return discard(bytes.size());
  if (kind_ == Kind::kGrpc) {
    in_.append(bytes);
    return grpc_data();
  }
  if (in_.size() + bytes.size() > admission_.max_body) {
    return refuse_http(413, "too_large", "the body is larger than the limit");
  }
  in_.append(bytes);
}

// Answered before the client has sent all: a little more is thrown away, since a reset now could
// overtake the answer in the client; an endless upload is cut off.
void Http2Stream::discard(std::size_t bytes) {
  const bool before = discarded_ <= kMaxDiscarded;
  discarded_ += bytes;
  if (before && discarded_ > kMaxDiscarded) http2_->reset(id_, NGHTTP2_NO_ERROR);
}

void Http2Stream::grpc_data() {
  const std::size_t limit = connection_->io().services().limits.body;
  while (in_.size() >= kGrpcPrefix && !call_ended_) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(in_.view().data());
    const std::size_t length = (std::size_t{bytes[1]} << 24) | (std::size_t{bytes[2]} << 16) |
                               (std::size_t{bytes[3]} << 8) | bytes[4];
    if (length > limit) {
      return end_call(Code::kResourceExhausted, "the message has " + std::to_string(length) +
                                                    " bytes; the limit is " +
                                                    std::to_string(limit));
    }
    if (in_.size() < kGrpcPrefix + length) return;
    // A unary call's message stays where it is until the call has ended.
    if (stream_ == nullptr) {
      if (in_.size() > kGrpcPrefix + length) {
        end_call(Code::kUnimplemented, "a unary call has exactly one message");
      }
      return;
    }
    const auto message = take_message(in_.view().substr(0, kGrpcPrefix + length));
    if (message) stream_->on_message(*message);
    in_.consume(kGrpcPrefix + length);
  }
}

// The message of one frame, decompressed; ends the call and answers nothing when that fails.
std::optional<std::string> Http2Stream::take_message(std::string_view frame) {
  const auto payload = frame.substr(kGrpcPrefix);
  if (frame[0] == 0) return std::string(payload);
  if (!request_gzip_) {
    end_call(Code::kInternal, "a message is compressed, but grpc-encoding names no method");
    return std::nullopt;
  }
  auto plain = inflate(payload, connection_->io().services().limits.body);
  if (!plain) {
    end_call(plain.error().code, plain.error().message);
    return std::nullopt;
  }
  return std::move(*plain);
}

void Http2Stream::end_of_stream() {
  if (ended_) return;
  ended_ = true;
  if (!over() && http2_ != nullptr) http2_->ready(shared_from_this());
}

void Http2Stream::dispatch() {
  if (over() || gone_) return;
  if (kind_ == Kind::kHttp) {
    in_.prepare(1);  // so that the padding exists even for an empty body
    connection_->io().services().http->serve(shared_from_this());
    return;
  }
  if (stream_ != nullptr) return stream_->on_half_close();
  const auto view = in_.view();
  if (view.size() < kGrpcPrefix) {
    return end_call(Code::kInvalidArgument, "the call has no complete message");
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(view.data());
  const std::size_t length = (std::size_t{bytes[1]} << 24) | (std::size_t{bytes[2]} << 16) |
                             (std::size_t{bytes[3]} << 8) | bytes[4];
  if (view.size() != kGrpcPrefix + length) {
    return end_call(Code::kInvalidArgument, "the message is shorter than its length says");
  }
  message_ = view.substr(kGrpcPrefix);
  if (view[0] != 0) {
    auto plain = take_message(view);
    if (!plain) return;
    message_storage_ = std::move(*plain);
    message_ = message_storage_;
  }
  method_->unary(shared_from_this(), message_);
}

void Http2Stream::session_lost() {
  http2_ = nullptr;
  gone_ = true;
  if (const auto stream = std::move(stream_); stream != nullptr && !call_ended_) {
    stream->on_cancel();
  }
}

// --- answer --------------------------------------------------------------------------------------

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
  write_response(connection_->io().services().http->refuse(status, reason, message));
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
  out_ = std::move(response.body);
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
  if (out_.size() - out_sent_ + message.size() > kMaxBufferedOutput) {
    return end_call(Code::kResourceExhausted, "the client does not read its answers");
  }
  if (response_gzip_) {
    const auto small = gzip(message);
    append_grpc_prefix(out_, true, small.size());
    out_ += small;
  } else {
    append_grpc_prefix(out_, false, message.size());
    out_ += message;
  }
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

ssize_t Http2Stream::read_output(std::uint8_t* to, std::size_t room, std::uint32_t* flags) {
  const std::size_t left = out_.size() - out_sent_;
  if (left == 0 && !out_complete_) {
    deferred_ = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  const std::size_t bytes = std::min(left, room);
  std::memcpy(to, out_.data() + out_sent_, bytes);
  out_sent_ += bytes;
  if (bytes == left && out_complete_) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (kind_ == Kind::kGrpc) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      submit_trailers();
    }
  }
  if (bytes == left) {
    out_.clear();
    out_sent_ = 0;
  }
  return static_cast<ssize_t>(bytes);
}

}  // namespace sluice::transport
