#include "transport/gzip.h"

#include <zlib.h>

#include <algorithm>

namespace sluice::transport {
namespace {

constexpr int kEitherFormat = 15 + 32;
constexpr int kGzipFormat = 15 + 16;
constexpr int kZlibFormat = 15;
constexpr std::size_t kMaxRatio = 100;
constexpr std::size_t kRatioFrom = std::size_t{1} << 20;

struct Inflater {
  z_stream stream{};
  bool ready = inflateInit2(&stream, kEitherFormat) == Z_OK;
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
};

Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

std::string compress(std::string_view bytes, int format) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, format, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, static_cast<uLong>(bytes.size())) + 32, '\0');
  stream.next_in = bytes_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  ::deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

Result<std::string> inflate(std::string_view bytes, std::size_t limit) {
  Inflater inflater;
  if (!inflater.ready) return internal("decompression cannot start");
  z_stream& stream = inflater.stream;
  stream.next_in = bytes_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK) {
    const std::size_t done = out.size();
    const std::size_t step = std::min<std::size_t>(std::max<std::size_t>(done, 16 << 10), 1 << 20);
    out.resize(done + step);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(step);
    state = ::inflate(&stream, Z_NO_FLUSH);
    out.resize(done + step - stream.avail_out);
    const bool bomb = out.size() > kRatioFrom && out.size() / kMaxRatio > bytes.size();
    if (out.size() > limit || bomb) {
      return fail(Code::kResourceExhausted, "too_large",
                  bomb ? "the body is more than a hundred times larger decompressed"
                       : "the decompressed message is larger than the limit of " +
                             std::to_string(limit) + " bytes");
    }
    if (state == Z_OK && stream.avail_in == 0 && stream.avail_out > 0) break;
  }
  if (state != Z_STREAM_END || stream.avail_in > 0) {
    return invalid("bad_compression", "the compressed bytes are damaged or cut off");
  }
  return out;
}

std::string gzip(std::string_view bytes) { return compress(bytes, kGzipFormat); }
std::string deflate(std::string_view bytes) { return compress(bytes, kZlibFormat); }

}  // namespace sluice::transport
