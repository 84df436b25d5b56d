#include "tools/compress/npy_header.h"

#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "base/text.h"

namespace sluice::tools::compress {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMostDims = 16;

struct Fields {
  std::string descr;
  bool fortran = false;
  std::vector<std::int64_t> shape;
};

// Of "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" and nothing else that Python
// would take for a dict.
class Literal {
 public:
  explicit Literal(std::string_view text) : rest_(text) {}

  // Nothing: it is another text.
  std::optional<Fields> read() {
    Fields out;
    unsigned seen = 0;
    if (!take('{')) return std::nullopt;
    while (!take('}')) {
      const auto key = quoted();
      if (!key || !take(':')) return std::nullopt;
      const unsigned bit = *key == "descr"           ? 1
                           : *key == "fortran_order" ? 2
                           : *key == "shape"         ? 4
                                                     : 8;
      if (bit == 8 || (seen & bit) != 0 || !value(bit, out)) return std::nullopt;
      seen |= bit;
      if (!take(',') && !at('}')) return std::nullopt;
    }
    skip();
    if (seen != 7 || !rest_.empty()) return std::nullopt;
    return out;
  }

 private:
  void skip() {
    const auto first = rest_.find_first_not_of(" \t\n");
    rest_.remove_prefix(std::min(first, rest_.size()));
  }
  bool at(char c) {
    skip();
    return rest_.starts_with(c);
  }
  bool take(char c) {
    if (!at(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view text) {
    skip();
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  std::optional<std::string> quoted() {
    const char quote = at('"') ? '"' : '\'';
    if (!take(quote)) return std::nullopt;
    const auto end = rest_.find(quote);
    if (end == std::string_view::npos) return std::nullopt;
    std::string out(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return out;
  }

  bool value(unsigned bit, Fields& out) {
    if (bit == 4) return shape(out.shape);
    if (bit == 2) {
      out.fortran = word("True");
      return out.fortran || word("False");
    }
    // A list of fields: a table with columns of its own types.
    if (at('[')) return structured(out.descr);
    const auto text = quoted();
    if (text) out.descr = *text;
    return text.has_value();
  }

  bool structured(std::string& out) {
    out = "structured";
    const auto end = rest_.rfind(']');
    if (end == std::string_view::npos) return false;
    rest_.remove_prefix(end + 1);
    return true;
  }

  bool shape(std::vector<std::int64_t>& out) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip();
      const auto digits = rest_.substr(0, rest_.find_first_not_of("0123456789"));
      const auto number = parse_int(digits);
      if (!number || out.size() == kMostDims) return false;
      out.push_back(*number);
      rest_.remove_prefix(digits.size());
      if (!take(',') && !at(')')) return false;
    }
    return true;
  }

  std::string_view rest_;
};

std::optional<DType> dtype_of(std::string_view kind_and_size) {
  constexpr std::pair<std::string_view, DType> kTypes[] = {
      {"b1", DType::kBool},    {"i1", DType::kInt8},    {"i2", DType::kInt16},
      {"i4", DType::kInt32},   {"i8", DType::kInt64},   {"u1", DType::kUint8},
      {"u2", DType::kUint16},  {"u4", DType::kUint32},  {"u8", DType::kUint64},
      {"f2", DType::kFloat16}, {"f4", DType::kFloat32}, {"f8", DType::kFloat64}};
  for (const auto& [name, dtype] : kTypes) {
    if (name == kind_and_size) return dtype;
  }
  return std::nullopt;
}

Failure bad(const std::string& name, const std::string& what) {
  return invalid("bad_table", name + " " + what);
}

Result<DType> type_of(const std::string& descr, const std::string& name) {
  const std::string_view text = descr;
  if (text.ends_with("O") || text.starts_with("O")) {
    return bad(name,
               "holds Python objects, which are programs and are not run; save an array of "
               "numbers, with astype('float32')");
  }
  const bool ordered = !text.empty() && std::string_view("<>|=").contains(text[0]);
  const auto dtype = dtype_of(text.substr(ordered ? 1 : 0));
  if (!dtype) {
    return bad(name, "has elements of type '" + printable(descr, 32) +
                         "'; expected numbers or booleans, of at most 8 bytes each");
  }
  if (text[0] == '>' && size_of(*dtype) > 1) {
    return bad(name,
               "has its bytes in big-endian order; save it with astype(array.dtype."
               "newbyteorder('<'))");
  }
  return *dtype;
}

// Of all elements; nothing: more than any file has.
std::optional<std::uint64_t> bytes_of(const NpyHeader& header) {
  std::optional<std::uint64_t> out = size_of(header.dtype);
  for (const auto dim : header.shape) {
    if (out) out = checked_mul(*out, static_cast<std::uint64_t>(dim));
  }
  return out && *out <= INT64_MAX ? out : std::nullopt;
}

}  // namespace

Result<NpyHeader> read_npy_header(std::span<const std::byte> front, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(front.data()), front.size());
  if (!text.starts_with(kMagic)) {
    return bad(name, "is no array of NumPy's: it does not begin as one; write it with numpy.save");
  }
  if (text.size() < 12) return bad(name, "is cut off in its header");
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(6) < 1 || byte(6) > 3) {
    return bad(name, "is of version " + std::to_string(byte(6)) +
                         " of NumPy's format; expected 1, 2 or 3");
  }
  const std::size_t digits = byte(6) == 1 ? 2 : 4;
  std::size_t length = 0;
  for (std::size_t i = digits; i-- > 0;) length = length << 8 | byte(8 + i);
  const std::size_t start = 8 + digits;
  if (length > text.size() - start) {
    return bad(name, text.size() < kMostNpyHeader ? "is cut off in its header"
                                                  : "has a header that no array of numbers has");
  }
  auto fields = Literal(text.substr(start, length)).read();
  if (!fields) return bad(name, "has a header that cannot be read; write it with numpy.save");
  NpyHeader out;
  SLUICE_TRY(out.dtype, type_of(fields->descr, name));
  out.shape = std::move(fields->shape);
  if (fields->fortran && out.shape.size() > 1) {
    return bad(name, "has its elements column by column; save numpy.ascontiguousarray(array)");
  }
  const auto bytes = bytes_of(out);
  if (!bytes) return bad(name, "has a shape that is too large: " + show_shape(out.shape));
  out.bytes = *bytes;
  out.begin = start + length;
  return out;
}

}  // namespace sluice::tools::compress
