// HTTP/2 on one connection, through nghttp2: REST and gRPC alike.
//
// What a read brings is given to the session whole; requests that it completes are dispatched
// afterwards, all together, and their answers leave with one write.
//
// Floods are bounded: streams per connection, header bytes and fields, resets a second in either
// direction (CVE-2023-44487, CVE-2025-8671), acknowledgements that wait; CONTINUATION frames are
// bounded by nghttp2 itself (CVE-2024-28182) and by the header limit here; answers that the client
// does not take, by their bytes and by time.
//
// Thread-safety: lives on its I/O thread.
#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <memory>
#include <unordered_map>
#include <vector>

#include "transport/connection.h"
#include "transport/http2_stream.h"
#include "transport/protocol.h"

namespace sluice::transport {

class Http2 final : public Protocol {
 public:
  explicit Http2(Connection& connection);
  ~Http2() override;

  void on_bytes() override;
  void on_eof() override;
  void on_close() override;
  void on_writable() override;
  bool wants_read() const override { return true; }
  std::size_t read_hint() const override { return 16 << 10; }
  void tick(std::chrono::steady_clock::time_point now) override;
  void drain() override;

  nghttp2_session* session() { return session_; }
  Connection& connection() { return connection_; }
  // A stream's answer has new bytes; all that a turn brings leave together at its end.
  void output_ready();
  void reset(std::int32_t stream, std::uint32_t code);
  void ready(std::shared_ptr<Http2Stream> stream) { ready_.push_back(std::move(stream)); }

  // Bytes of answers that all streams together hold and the session has not taken.
  std::size_t waiting_output() const { return waiting_output_; }
  void output_added(std::size_t bytes) { waiting_output_ += bytes; }
  void output_dropped(std::size_t bytes) { waiting_output_ -= bytes; }
  void output_taken(std::size_t bytes) {
    waiting_output_ -= bytes;
    last_taken_ = connection_.io().loop().now();
  }
  // When the session last took some, of whatever stream.
  std::chrono::steady_clock::time_point last_taken() const { return last_taken_; }

 private:
  friend struct Http2Callbacks;

  void pump();
  void end(std::uint32_t code);
  void count_reset();
  void settle_drain(std::chrono::steady_clock::time_point now);
  Http2Stream* find(std::int32_t id);

  Connection& connection_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::shared_ptr<Http2Stream>> streams_;
  std::vector<std::shared_ptr<Http2Stream>> ready_;
  bool in_read_ = false;
  bool send_planned_ = false;
  bool failed_ = false;
  std::size_t waiting_output_ = 0;
  std::chrono::steady_clock::time_point last_taken_{};

  std::chrono::steady_clock::time_point resets_since_{};
  int resets_ = 0;

  enum class Drain { kNo, kAnnounced, kLast };
  Drain drain_ = Drain::kNo;
  std::chrono::steady_clock::time_point drain_began_{};
  std::chrono::steady_clock::time_point pinged_{};
};

}  // namespace sluice::transport
