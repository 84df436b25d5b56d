#include "transport/http1.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::transport {
namespace {

constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::uint64_t kMaxDiscard = 64 << 10;
// How long an idle connection is kept for one more request while the server drains.
constexpr std::chrono::seconds kDrainIdle{1};

// Looks at the newlines from `from` on.
bool has_bare_newline(std::string_view text, std::size_t from) {
  for (auto at = text.find('\n', from); at != std::string_view::npos;
       at = text.find('\n', at + 1)) {
    if (at == 0 || text[at - 1] != '\r') return true;
  }
  return false;
}

// What stands where a request line has its target, as far as it has come.
std::string_view target_of(std::string_view head) {
  head = head.substr(0, head.find('\r'));
  const auto space = head.find(' ');
  if (space == std::string_view::npos) return {};
  head.remove_prefix(space + 1);
  return head.substr(0, head.find_first_of(" ?"));
}

}  // namespace

Http1::Http1(Connection& connection)
    : connection_(connection), limits_(connection.io().services().limits) {
  head_.management = connection.origin().management;
}

void Http1::on_bytes() {
  if (in_loop_) return;
  in_loop_ = true;
  while (connection_.unsent() < kOutputHighWater && step()) {
  }
  in_loop_ = false;
  end_if_starved();
}

// The client has closed its half: once all that it sent is answered, so do we.
void Http1::end_if_starved() {
  const bool busy = state_ == State::kWaiting || state_ == State::kEnding ||
                    connection_.unsent() >= kOutputHighWater;
  if (!eof_ || busy) return;
  state_ = State::kEnding;
  connection_.close_after_flush();
}

bool Http1::step() {
  switch (state_) {
    case State::kHead: return read_head();
    case State::kBody: return read_body();
    case State::kChunked: return read_chunks();
    case State::kDiscard: return discard();
    case State::kWaiting:
    case State::kEnding: break;
  }
  return false;
}

bool Http1::read_head() {
  Buffer& in = connection_.in();
  // Empty lines before a request line are allowed (RFC 9112, section 2.2).
  while (scanned_ == 0 && in.view().starts_with("\r\n")) in.consume(2);
  const auto view = in.view();
  if (view.empty()) return false;
  const auto end = view.find(kHeadEnd, scanned_);
  if (end == std::string_view::npos) return head_incomplete(view);
  scanned_ = 0;
  return begin_request(view.substr(0, end + kHeadEnd.size()));
}

bool Http1::head_incomplete(std::string_view view) {
  if (scanned_ == 0) head_began_ = connection_.last_read();
  if (has_bare_newline(view, scanned_)) {
    return refuse({400, "bad_request", "lines must end with CRLF"});
  }
  const bool in_first_line = view.find("\r\n") == std::string_view::npos;
  if (in_first_line && view.size() > limits_.request_line) {
    return refuse({414, "target_too_long", "the request line is longer than 8 KiB"});
  }
  if (view.size() > limits_.head) {
    return refuse({431, "headers_too_large", "the headers are larger than 32 KiB"});
  }
  scanned_ = view.size() < kHeadEnd.size() ? 1 : view.size() - kHeadEnd.size() + 1;
  return false;
}

bool Http1::begin_request(std::string_view head) {
  std::string_view target;
  auto framing = parse_head(head, limits_, head_, target);
  if (!framing) return refuse(framing.error());
  framing_ = *framing;
  Buffer& in = connection_.in();
  const bool complete = !framing_.chunked && framing_.content_length <= in.size() - head.size();
  if (complete) {
    head_bytes_ = head.size();
  } else {
    // The input will move while the body comes in; the head must not.
    head_storage_.assign(head);
    in.consume(head.size());
    head_bytes_ = 0;
    if (!parse_head(head_storage_, limits_, head_, target)) return false;  // cannot be
  }
  return take_target(target) && admit();
}

bool Http1::take_target(std::string_view target) {
  const auto host = head_.find("host").value_or(std::string_view());
  if (head_.method == "OPTIONS" && target == "*") target = "/";
  auto checked = check_target(target, host, target_storage_);
  if (!checked) return refuse(checked.error());
  head_.path = checked->path;
  head_.query = checked->query;
  return true;
}

bool Http1::admit() {
  admission_ = connection_.io().services().http->admit(head_);
  if (admission_.refusal) {
    refuse_admitted(std::move(*admission_.refusal));
    return true;
  }
  if (framing_.content_length > admission_.max_body) {
    return refuse({413, "too_large", "the body is larger than the limit"});
  }
  body_ = {};
  if (framing_.chunked) {
    chunked_body_.clear();
    chunks_.emplace(limits_, admission_.max_body);
    state_ = State::kChunked;
  } else {
    state_ = State::kBody;
  }
  if (framing_.expect_continue && head_bytes_ == 0) {
    connection_.out() += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  return true;
}

bool Http1::read_body() {
  const auto view = connection_.in().view();
  if (view.size() - head_bytes_ < framing_.content_length) return false;
  body_ = view.substr(head_bytes_, static_cast<std::size_t>(framing_.content_length));
  serve();
  return true;
}

bool Http1::read_chunks() {
  switch (chunks_->decode(connection_.in(), chunked_body_)) {
    case ChunkedDecoder::State::kMore: return false;
    case ChunkedDecoder::State::kRefused: return refuse(chunks_->refusal());
    case ChunkedDecoder::State::kDone: break;
  }
  chunked_body_.prepare(1);  // so that the padding exists even for an empty body
  body_ = chunked_body_.view();
  serve();
  return true;
}

bool Http1::discard() {
  Buffer& in = connection_.in();
  const auto bytes = std::min<std::uint64_t>(discard_left_, in.size());
  in.consume(static_cast<std::size_t>(bytes));
  discard_left_ -= bytes;
  if (discard_left_ > 0) return false;
  state_ = State::kHead;
  return true;
}

void Http1::serve() {
  state_ = State::kWaiting;
  connection_.io().services().http->serve(
      std::shared_ptr<Exchange>(connection_.shared_from_this(), this));
}

// A request that cannot be framed ends the connection: where the next one begins is not known.
bool Http1::refuse(const Refusal& refusal) {
  const std::string_view head = head_storage_.empty() ? connection_.in().view() : head_storage_;
  auto response = connection_.io().services().http->refuse(target_of(head), refusal.status,
                                                           refusal.reason, refusal.message);
  response.close = true;
  head_.method = {};  // may be of a request that is gone, and only matters for HEAD
  write(response);
  state_ = State::kEnding;
  connection_.close_after_flush();
  return false;
}

// Refused by the service before the body: a short body is thrown away and the connection kept.
void Http1::refuse_admitted(Response response) {
  const bool keep =
      !framing_.chunked && framing_.content_length <= kMaxDiscard && !framing_.expect_continue;
  if (!keep) response.close = true;
  write(response);
  if (response.close || !framing_.keep_alive || last_answer()) {
    state_ = State::kEnding;
    connection_.close_after_flush();
    return;
  }
  connection_.in().consume(head_bytes_);
  head_bytes_ = 0;
  discard_left_ = framing_.content_length;
  state_ = State::kDiscard;
}

void Http1::respond(Response response) {
  auto& loop = connection_.io().loop();
  if (!loop.is_current()) {
    loop.post([self = connection_.shared_from_this(), this,
               response = std::move(response)]() mutable { respond(std::move(response)); });
    return;
  }
  if (state_ != State::kWaiting || connection_.closed()) return;
  write(response);
  if (response.close || !framing_.keep_alive || last_answer()) {
    state_ = State::kEnding;
    connection_.close_after_flush();
  } else {
    end_request();
  }
  if (in_loop_) return;
  on_bytes();
  connection_.flush();
  connection_.read_on();
}

void Http1::end_request() {
  connection_.in().consume(head_bytes_ + (framing_.chunked ? 0 : body_.size()));
  if (connection_.in().size() == 0 && connection_.in().capacity() > (64 << 10)) {
    connection_.in().release();
  }
  if (chunked_body_.capacity() > 0) {
    chunked_body_.clear();
    chunked_body_.release();
  }
  head_bytes_ = 0;
  body_ = {};
  head_storage_.clear();
  state_ = State::kHead;
}

bool Http1::last_answer() const {
  return connection_.io().services().draining->load(std::memory_order_relaxed);
}

void Http1::write(const Response& response) {
  std::string& out = connection_.out();
  if (response.status == 200) {
    out += "HTTP/1.1 200 OK\r\n";
  } else {
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status,
                   reason_phrase(response.status));
  }
  const bool close = response.close || !framing_.keep_alive || last_answer();
  if (close) {
    out += "Connection: close\r\n";
  } else if (framing_.http10) {
    out += "Connection: keep-alive\r\n";
  }
  for (const auto& [name, value] : response.headers) {
    out.append(name).append(": ").append(value).append("\r\n");
  }
  if (!response.body.empty()) {
    out.append("Content-Type: ").append(response.content_type).append("\r\n");
  }
  const fmt::format_int length(response.body.size());
  out.append("Date: ").append(connection_.io().date());
  out.append("\r\nContent-Length: ").append(length.data(), length.size()).append(kHeadEnd);
  if (head_.method != "HEAD") out += response.body;
}

void Http1::on_eof() {
  eof_ = true;
  end_if_starved();
}

std::size_t Http1::read_hint() const {
  if (state_ != State::kBody) return 4096;
  const auto missing = framing_.content_length + head_bytes_ - connection_.in().size();
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(missing, 4096, 1 << 20));
}

void Http1::tick(std::chrono::steady_clock::time_point now) {
  const auto idle = now - connection_.last_read();
  switch (state_) {
    case State::kHead:
      if (scanned_ > 0) {
        if (now - head_began_ > limits_.head_timeout) {
          refuse({408, "timeout", "the headers did not arrive in time"});
        }
      } else if (idle > limits_.idle_timeout || (draining_ && now - drain_began_ > kDrainIdle)) {
        connection_.close();
      }
      break;
    case State::kBody:
    case State::kChunked:
      if (idle > limits_.body_timeout) refuse({408, "timeout", "the body did not arrive in time"});
      break;
    case State::kDiscard:
      if (idle > limits_.body_timeout) connection_.close();
      break;
    case State::kWaiting:
    case State::kEnding: break;
  }
}

void Http1::drain() {
  draining_ = true;
  drain_began_ = std::chrono::steady_clock::now();
}

}  // namespace sluice::transport
