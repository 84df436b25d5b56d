// Decodes `Transfer-Encoding: chunked` strictly (RFC 9112, section 7.1): sizes are 1 to 16 hex
// digits, lines end with CRLF, chunks and extension bytes are counted. Trailers are read and thrown
// away: they are never merged into the headers.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "transport/buffer.h"
#include "transport/head_parser.h"

namespace sluice::transport {

class ChunkedDecoder {
 public:
  enum class State { kMore, kDone, kRefused };

  ChunkedDecoder(const HttpLimits& limits, std::size_t max_body)
      : limits_(limits), max_body_(max_body) {}

  // Moves decoded bytes from `in` to `body`.
  State decode(Buffer& in, Buffer& body);
  const Refusal& refusal() const { return refusal_; }

 private:
  enum class Expect { kSize, kData, kDataEnd, kTrailer };
  enum class Step { kAgain, kMore, kDone, kRefused };

  Step read_size(Buffer& in, const Buffer& body);
  Step read_data(Buffer& in, Buffer& body);
  Step read_data_end(Buffer& in);
  Step read_trailer(Buffer& in);
  Step refuse(int status, std::string_view reason, std::string_view message);

  const HttpLimits& limits_;
  std::size_t max_body_;
  Expect expect_ = Expect::kSize;
  std::uint64_t left_ = 0;
  std::size_t chunks_ = 0;
  std::size_t trailer_bytes_ = 0;
  Refusal refusal_;
};

}  // namespace sluice::transport
