#include "codecs/typed_contents.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/protowire.h"
#include "codecs/raw_tensor.h"

namespace sluice::codecs {
namespace {

using Type = WireReader::Type;

// The field that has the elements of a type; 0: there is none.
std::uint32_t field_of(DType dtype) {
  switch (dtype) {
    case DType::kBool: return 1;
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32: return 2;
    case DType::kInt64: return 3;
    case DType::kUint8:
    case DType::kUint16:
    case DType::kUint32: return 4;
    case DType::kUint64: return 5;
    case DType::kFloat32: return 6;
    case DType::kFloat64: return 7;
    case DType::kString: return 8;
    case DType::kFloat16:
    case DType::kBFloat16: break;
  }
  return 0;
}

class ContentsReader {
 public:
  ContentsReader(DType dtype, std::size_t room, std::string_view name, Arena& arena)
      : dtype_(dtype),
        size_(dtype == DType::kString ? sizeof(std::string_view) : size_of(dtype)),
        room_(room),
        name_(name),
        data_(arena.array<std::byte>(room * size_).data()) {}

  Result<void> read(std::string_view contents) {
    const auto wanted = field_of(dtype_);
    WireReader reader(contents);
    while (reader.next()) {
      if (reader.field() != wanted) {
        if (reader.field() > 8) continue;
        return invalid("wrong_type", "the typed contents of input '" + std::string(name_) +
                                         "' are not those of " + std::string(name_of(dtype_)));
      }
      SLUICE_CHECK(read_field(reader));
    }
    if (reader.ok()) return {};
    return broken();
  }

  TensorView tensor(const Shape& shape) const {
    TensorView out;
    out.dtype = dtype_;
    out.shape = shape;
    if (dtype_ == DType::kString) {
      out.strings = {reinterpret_cast<const std::string_view*>(data_), count_};
    } else {
      out.data = {data_, count_ * size_};
    }
    return out;
  }
  std::size_t count() const { return count_; }

 private:
  Result<void> read_field(const WireReader& field) {
    if (dtype_ == DType::kString) return put(field.bytes());
    if (field.type() != Type::kBytes) return put_number(field.number());
    const bool fixed = dtype_ == DType::kFloat32 || dtype_ == DType::kFloat64;
    return fixed ? read_packed_fixed(field.bytes()) : read_packed(field.bytes());
  }

  Result<void> read_packed(std::string_view packed) {
    WireReader numbers(packed);
    while (!numbers.at_end()) {
      const auto number = numbers.varint();
      if (!numbers.ok()) return broken();
      SLUICE_CHECK(put_number(number));
    }
    return {};
  }

  Result<void> read_packed_fixed(std::string_view packed) {
    if (packed.size() % size_ != 0) return broken();
    if (packed.size() / size_ > room_ - count_) return too_many();
    std::memcpy(data_ + count_ * size_, packed.data(), packed.size());
    count_ += packed.size() / size_;
    return {};
  }

  // A varint or the bits of a float.
  Result<void> put_number(std::uint64_t bits) {
    const auto as_signed = static_cast<std::int64_t>(bits);
    const auto checked = [&]<class T>(T, auto number) -> Result<void> {
      if (std::in_range<T>(number)) return put(static_cast<T>(number));
      return invalid("out_of_range", "value " + std::to_string(count_) + " of input '" +
                                         std::string(name_) + "' does not fit " +
                                         std::string(name_of(dtype_)));
    };
    switch (dtype_) {
      case DType::kBool: return put(static_cast<std::uint8_t>(bits != 0));
      case DType::kInt8: return checked(std::int8_t{}, as_signed);
      case DType::kInt16: return checked(std::int16_t{}, as_signed);
      case DType::kInt32: return checked(std::int32_t{}, as_signed);
      case DType::kUint8: return checked(std::uint8_t{}, bits);
      case DType::kUint16: return checked(std::uint16_t{}, bits);
      case DType::kUint32: return checked(std::uint32_t{}, bits);
      case DType::kFloat32: return put(static_cast<std::uint32_t>(bits));
      default: return put(bits);
    }
  }

  template <class T>
  Result<void> put(T value) {
    if (count_ == room_) return too_many();
    std::memcpy(data_ + count_ * size_, &value, sizeof value);
    ++count_;
    return {};
  }

  Failure broken() const {
    return invalid("not_protobuf",
                   "the contents of input '" + std::string(name_) + "' are not valid protobuf");
  }
  Failure too_many() const {
    return invalid("wrong_size",
                   "input '" + std::string(name_) + "' has more values than its shape says");
  }

  const DType dtype_;
  const std::size_t size_;
  const std::size_t room_;
  std::string_view name_;
  std::byte* data_;
  std::size_t count_ = 0;
};

// The only field of `contents`, where it is a packed list of floats.
std::string_view packed_floats(std::string_view contents, DType dtype) {
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return {};
  WireReader reader(contents);
  if (!reader.next() || reader.field() != field_of(dtype) || !reader.at_end()) return {};
  return reader.bytes();
}

}  // namespace

Result<TensorView> read_typed_contents(std::string_view contents, DType dtype, const Shape& shape,
                                       std::string_view name, Arena& arena) {
  SLUICE_TRY(const auto count, element_count(shape.dims()));
  if (field_of(dtype) == 0) {
    return invalid("wrong_type", "input '" + std::string(name) +
                                     "': " + std::string(name_of(dtype)) +
                                     " travels in raw_input_contents only");
  }
  const auto packed = packed_floats(contents, dtype);
  if (!packed.empty()) return read_raw(dtype, shape, packed, name, arena);
  // Each element takes at least a byte of the message: no more room than that.
  ContentsReader reader(dtype, std::min(count, contents.size()), name, arena);
  SLUICE_CHECK(reader.read(contents));
  if (reader.count() == count) return reader.tensor(shape);
  return invalid("wrong_size", "input '" + std::string(name) + "' has " +
                                   std::to_string(reader.count()) + " values; its shape " +
                                   show_shape(shape.dims()) + " wants " + std::to_string(count));
}

}  // namespace sluice::codecs
