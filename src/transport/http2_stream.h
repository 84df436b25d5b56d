// One request on an HTTP/2 connection: an Exchange, or a gRPC call. Internal to http2.
//
// Thread-safety: lives on its I/O thread, except `respond`, `send` and `finish`, which any thread
// may call; they hop to it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "transport/buffer.h"
#include "transport/grpc.h"
#include "transport/http.h"

namespace sluice::transport {

class Connection;
class Http2;

class Http2Stream final : public Exchange,
                          public GrpcCall,
                          public std::enable_shared_from_this<Http2Stream> {
 public:
  Http2Stream(Http2& http2, std::shared_ptr<Connection> connection, std::int32_t id);
  ~Http2Stream() override;

  // Exchange and GrpcCall.
  const RequestHead& head() const override { return head_; }
  const Admission& admission() const override { return admission_; }
  std::string_view body() const override { return in_.view(); }
  Turn& turn() override;
  void respond(Response response) override;
  std::chrono::steady_clock::time_point deadline() const override { return deadline_; }
  const std::atomic<bool>& cancelled() const override { return gone_; }
  void send(std::string message) override;
  void finish(Code code, std::string message) override;
  void reply(std::string message) override;

  // Called by the session.
  bool add_header(std::string_view name, std::string_view value);
  void head_complete(bool end_of_stream);
  void data(std::string_view bytes);
  void end_of_stream();
  void tick(std::chrono::steady_clock::time_point now);  // a few times a second
  void drain() {
    if (stream_ != nullptr && !call_ended_) stream_->on_drain();
  }
  void session_lost();  // the stream or its connection has ended
  // Nobody holds it but the caller: the next stream of this thread takes over its memory.
  void recycle();
  std::int32_t id() const { return id_; }

  // Hands the request to its handler; outside of the session's callbacks.
  void dispatch();

  // The data source of the answer.
  ssize_t read_output(std::uint8_t* to, std::size_t room, std::uint32_t* flags);

 private:
  enum class Kind { kHttp, kGrpc };

  // Nothing more of the client is of interest.
  bool over() const { return kind_ == Kind::kGrpc ? call_ended_ : answered_; }
  bool parse_pseudo_headers();
  void begin_http();
  void begin_grpc();
  void discard(std::size_t bytes);
  void grpc_data();
  std::optional<std::string> take_message(std::string_view frame);
  void deliver(std::string_view message);
  void submit_headers(int status, const std::vector<std::pair<std::string_view, std::string>>& more,
                      bool with_body);
  void submit_grpc_headers();
  void submit_trailers();
  void write_response(Response response);
  void write_message(std::string_view message);
  void end_call(Code code, std::string_view message);
  std::size_t unsent() const { return out_.size() - out_sent_; }
  void output_added(std::size_t bytes);
  bool unread(std::chrono::steady_clock::time_point now) const;
  void give_up();
  std::string_view target() const;
  void refuse_http(int status, std::string_view reason, std::string_view message);

  // Runs `work(self)` on the I/O thread: at once when already there.
  template <class Work>
  void on_thread(Work work);

  Http2* http2_;  // null once the session is gone
  std::shared_ptr<Connection> connection_;
  const std::int32_t id_;
  Kind kind_ = Kind::kHttp;

  // Header text lies in one string; offsets become views when the head is complete.
  struct Piece {
    std::size_t name;
    std::size_t name_size;
    std::size_t value;
    std::size_t value_size;
  };
  struct Memory;
  static std::vector<Memory>& spare_memory();
  std::string text_;
  std::vector<Piece> pieces_;
  bool headers_too_large_ = false;
  std::string path_storage_;
  RequestHead head_;
  Admission admission_;

  Buffer in_;
  std::chrono::steady_clock::time_point last_data_;
  std::size_t discarded_ = 0;
  bool ended_ = false;     // the client has sent all
  bool answered_ = false;  // HTTP: an answer has been given to the session
  std::atomic<bool> gone_ = false;

  // gRPC.
  const GrpcMethod* method_ = nullptr;
  std::unique_ptr<GrpcStream> stream_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  std::string message_storage_;  // a decompressed message
  std::string_view message_;
  bool request_gzip_ = false;
  bool response_gzip_ = false;
  bool headers_sent_ = false;
  bool call_ended_ = false;
  Code code_ = Code::kOk;
  std::string status_text_;

  // Answer bytes that the session has not taken yet.
  std::string out_;
  std::size_t out_sent_ = 0;
  // When it last took some, or the first of what waits came.
  std::chrono::steady_clock::time_point last_taken_{};
  bool out_complete_ = false;
  bool deferred_ = false;
};

}  // namespace sluice::transport
