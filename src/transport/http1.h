// HTTP/1.1 on one connection: one request at a time, in order; pipelined ones wait in the input.
//
// Thread-safety: lives on its I/O thread, except `respond`, which any thread may call.
#pragma once

#include <optional>
#include <string>

#include "transport/chunked_decoder.h"
#include "transport/connection.h"
#include "transport/http.h"
#include "transport/protocol.h"

namespace sluice::transport {

class Http1 final : public Protocol, public Exchange {
 public:
  explicit Http1(Connection& connection);

  void on_bytes() override;
  void on_eof() override;
  void on_close() override {}  // an answer that is still made holds the connection, and is dropped
  void on_writable() override { on_bytes(); }
  bool wants_read() const override { return state_ != State::kWaiting; }
  std::size_t read_hint() const override;
  void tick(std::chrono::steady_clock::time_point now) override;
  void drain() override;

  const RequestHead& head() const override { return head_; }
  const Admission& admission() const override { return admission_; }
  std::string_view body() const override { return body_; }
  Turn& turn() override { return connection_.io().loop(); }
  void respond(Response response) override;

 private:
  enum class State { kHead, kBody, kChunked, kDiscard, kWaiting, kEnding };

  bool step();
  void end_if_starved();
  bool read_head();
  bool head_incomplete(std::string_view view);
  bool begin_request(std::string_view head);
  bool take_target(std::string_view target);
  bool admit();
  bool read_body();
  bool read_chunks();
  bool discard();
  void serve();
  bool refuse(const Refusal& refusal);
  void refuse_admitted(Response response);
  void write(const Response& response);
  bool last_answer() const;
  void end_request();

  Connection& connection_;
  const HttpLimits& limits_;
  State state_ = State::kHead;
  RequestHead head_;
  Framing framing_;
  Admission admission_;
  std::string target_storage_;
  std::string head_storage_;    // the head, when the body did not come with it
  std::size_t head_bytes_ = 0;  // of the current request, still in the input
  std::size_t scanned_ = 0;     // input already searched for the end of the head
  std::uint64_t discard_left_ = 0;
  std::string_view body_;
  Buffer chunked_body_;
  std::optional<ChunkedDecoder> chunks_;
  std::chrono::steady_clock::time_point head_began_{};
  std::chrono::steady_clock::time_point drain_began_{};
  bool in_loop_ = false;
  bool eof_ = false;
  bool draining_ = false;
};

}  // namespace sluice::transport
