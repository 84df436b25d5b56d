#include "transport/http2_stream.h"

#include <arpa/inet.h>
#include <cstring>

#include "base/text.h"
#include "transport/connection.h"
#include "transport/gzip.h"
#include "transport/head_parser.h"
#include "transport/http2.h"

namespace sluice::transport {
namespace {

// What the five bytes before a gRPC message say of its length.
std::size_t message_length(std::string_view prefix) {
  std::uint32_t length = 0;
  std::memcpy(&length, prefix.data() + 1, sizeof length);
  return ntohl(length);
}

constexpr std::size_t kMaxDiscarded = std::size_t{1} << 20;

}  // namespace

// What a stream needs and the next one can use again: too large for malloc's quick lists.
struct Http2Stream::Memory {
  std::string text;
  std::vector<Piece> pieces;
  std::vector<Header> headers;
  Buffer in;
  std::string out;
};

std::vector<Http2Stream::Memory>& Http2Stream::spare_memory() {
  thread_local std::vector<Memory> spare;
  return spare;
}

Http2Stream::Http2Stream(Http2& http2, std::shared_ptr<Connection> connection, std::int32_t id)
    : http2_(&http2), connection_(std::move(connection)), id_(id) {
  if (auto& spare = spare_memory(); !spare.empty()) {
    Memory& memory = spare.back();
    text_ = std::move(memory.text);
    pieces_ = std::move(memory.pieces);
    head_.headers = std::move(memory.headers);
    in_ = std::move(memory.in);
    out_ = std::move(memory.out);
    spare.pop_back();
  } else {
    text_.reserve(512);
    pieces_.reserve(12);
    head_.headers.reserve(12);
  }
  head_.management = connection_->origin().management;
  last_data_ = connection_->last_read();
}

Http2Stream::~Http2Stream() = default;

void Http2Stream::recycle() {
  constexpr std::size_t kMostSpare = 256;
  constexpr std::size_t kLargest = 16 << 10;
  auto& spare = spare_memory();
  const std::size_t held = text_.capacity() + in_.capacity() + out_.capacity();
  if (spare.size() == kMostSpare || held > kLargest) return;
  Memory memory{std::move(text_), std::move(pieces_), std::move(head_.headers), std::move(in_),
                std::move(out_)};
  memory.text.clear();
  memory.pieces.clear();
  memory.headers.clear();
  memory.in.clear();
  memory.out.clear();
  spare.push_back(std::move(memory));
}

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

// As it came, or nothing.
std::string_view Http2Stream::target() const {
  const std::string_view text(text_);
  for (const auto& piece : pieces_) {
    if (text.substr(piece.name, piece.name_size) != ":path") continue;
    const auto value = text.substr(piece.value, piece.value_size);
    return value.substr(0, value.find('?'));
  }
  return {};
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
  // Over this version it replaces Host (RFC 9113, section 8.3.1); whoever asks finds it first.
  if (!authority.empty()) head_.headers.insert(head_.headers.begin(), Header{"host", authority});
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
  last_data_ = connection_->last_read();
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
    const std::size_t length = message_length(in_.view());
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
    auto message = take_message(in_.view().substr(0, kGrpcPrefix + length));
    if (message) stream_->on_message(std::move(*message));
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

// A request that stopped in its middle: told once, then cut off. So is an answer that nobody takes.
void Http2Stream::tick(std::chrono::steady_clock::time_point now) {
  if (unread(now)) return give_up();
  if (ended_ || stream_ != nullptr) return;
  if (now - last_data_ <= connection_->io().services().limits.body_timeout) return;
  if (over()) return http2_->reset(id_, NGHTTP2_NO_ERROR);
  if (kind_ == Kind::kHttp) {
    refuse_http(408, "timeout", "the body did not arrive in time");
  } else {
    end_call(Code::kDeadlineExceeded, "the message did not arrive in time");
  }
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
  if (view.size() != kGrpcPrefix + message_length(view)) {
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
  http2_->output_dropped(unsent());
  http2_ = nullptr;
  gone_ = true;
  if (const auto stream = std::move(stream_); stream != nullptr && !call_ended_) {
    stream->on_cancel();
  }
}

}  // namespace sluice::transport
