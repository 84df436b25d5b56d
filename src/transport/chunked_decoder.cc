#include "transport/chunked_decoder.h"

#include <algorithm>
#include <charconv>

namespace sluice::transport {

ChunkedDecoder::State ChunkedDecoder::decode(Buffer& in, Buffer& body) {
  while (true) {
    Step step = Step::kMore;
    switch (expect_) {
      case Expect::kSize: step = read_size(in, body); break;
      case Expect::kData: step = read_data(in, body); break;
      case Expect::kDataEnd: step = read_data_end(in); break;
      case Expect::kTrailer: step = read_trailer(in); break;
    }
    if (step == Step::kMore) return State::kMore;
    if (step == Step::kDone) return State::kDone;
    if (step == Step::kRefused) return State::kRefused;
  }
}

ChunkedDecoder::Step ChunkedDecoder::read_size(Buffer& in, const Buffer& body) {
  const auto view = in.view();
  const auto end = view.find("\r\n");
  const auto line = view.substr(0, end);
  if (line.size() > 16 + limits_.chunk_extension) {
    return refuse(400, "bad_request", "a chunk size line is too long");
  }
  if (end == std::string_view::npos) {
    return line.find('\n') == std::string_view::npos
               ? Step::kMore
               : refuse(400, "bad_request", "a chunk size must end with CRLF");
  }
  const auto digits = line.substr(0, line.find(';'));
  std::uint64_t size = 0;
  const auto [last, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
  const bool extension_clean =
      line.find('\n') == std::string_view::npos && line.find('\r') == std::string_view::npos;
  if (digits.empty() || digits.size() > 16 || digits.front() == '-' || error != std::errc() ||
      last != digits.data() + digits.size() || !extension_clean) {
    return refuse(400, "bad_request", "a chunk size must be 1 to 16 hexadecimal digits");
  }
  if (++chunks_ > limits_.chunks) {
    return refuse(413, "too_large", "the body has more than 65536 chunks");
  }
  if (size > max_body_ || body.size() + size > max_body_) {
    return refuse(413, "too_large", "the body is larger than the limit");
  }
  in.consume(end + 2);
  left_ = size;
  expect_ = size == 0 ? Expect::kTrailer : Expect::kData;
  return Step::kAgain;
}

ChunkedDecoder::Step ChunkedDecoder::read_data(Buffer& in, Buffer& body) {
  const auto part =
      in.view().substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, in.size())));
  if (part.empty()) return Step::kMore;
  body.append(part);
  left_ -= part.size();
  in.consume(part.size());
  if (left_ > 0) return Step::kMore;
  expect_ = Expect::kDataEnd;
  return Step::kAgain;
}

ChunkedDecoder::Step ChunkedDecoder::read_data_end(Buffer& in) {
  if (in.size() < 2) return Step::kMore;
  if (!in.view().starts_with("\r\n")) {
    return refuse(400, "bad_request", "a chunk is longer than its size says");
  }
  in.consume(2);
  expect_ = Expect::kSize;
  return Step::kAgain;
}

ChunkedDecoder::Step ChunkedDecoder::read_trailer(Buffer& in) {
  const auto view = in.view();
  const auto end = view.find("\r\n");
  const std::size_t seen = end == std::string_view::npos ? view.size() : end;
  if (trailer_bytes_ + seen > limits_.head) {
    return refuse(431, "headers_too_large", "the trailers are larger than 32 KiB");
  }
  if (end == std::string_view::npos) return Step::kMore;
  if (end > 0 && !is_field_line(view.substr(0, end))) {
    return refuse(400, "bad_request", "a trailer is not a header line");
  }
  trailer_bytes_ += end + 2;
  in.consume(end + 2);
  return end == 0 ? Step::kDone : Step::kAgain;
}

ChunkedDecoder::Step ChunkedDecoder::refuse(int status, std::string_view reason,
                                            std::string_view message) {
  refusal_ = {status, reason, message};
  return Step::kRefused;
}

}  // namespace sluice::transport
