// The head of an HTTP/1.1 answer, as far as a load generator cares: how it went and where it ends.
// Thread-safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice::tools {

struct AnswerHead {
  enum class State { kPartial, kWhole, kBroken };
  State state = State::kPartial;
  int status = 0;
  std::size_t head_size = 0;  // up to the body
  std::uint64_t body_size = 0;
  bool to_end = false;  // the body lasts until the server closes; body_size says nothing
  bool close = false;   // nothing else comes on this connection
};

// Reads the head at the front of `text`. A chunked body is kBroken: the servers that are measured
// do not send any, and one that is not understood must not be counted.
AnswerHead read_answer_head(std::string_view text);

}  // namespace sluice::tools
