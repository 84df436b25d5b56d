#include "codecs/tensor_json.h"

#include "base/base64.h"
#include "base/half.h"

namespace sluice::codecs {
namespace {

void write_text(std::string_view text, Strings strings, JsonWriter& json) {
  if (strings == Strings::kText) {
    json.value(text);
    return;
  }
  json.begin_object().field("b64", std::string_view(encode_base64(text))).end_object();
}

// Elements from `begin` on, `count` of them. One switch for all, not one for each.
void write_elements(const TensorView& tensor, std::size_t begin, std::size_t count, Strings strings,
                    JsonWriter& json) {
  const auto all = [&]<class T>(T) {
    for (const T value : tensor.as<T>().subspan(begin, count)) json.value(value);
  };
  switch (tensor.dtype) {
    case DType::kBool:
      for (const auto value : tensor.as<std::uint8_t>().subspan(begin, count)) {
        json.value(value != 0);
      }
      break;
    case DType::kUint8: return all(std::uint8_t{});
    case DType::kUint16: return all(std::uint16_t{});
    case DType::kUint32: return all(std::uint32_t{});
    case DType::kUint64: return all(std::uint64_t{});
    case DType::kInt8: return all(std::int8_t{});
    case DType::kInt16: return all(std::int16_t{});
    case DType::kInt32: return all(std::int32_t{});
    case DType::kInt64: return all(std::int64_t{});
    case DType::kFloat32: return all(float{});
    case DType::kFloat64: return all(double{});
    case DType::kFloat16:
    case DType::kBFloat16:
      for (std::size_t i = begin; i < begin + count; ++i) {
        json.value(static_cast<float>(number_at(tensor, i)));
      }
      break;
    case DType::kString:
      for (const auto text : tensor.strings.subspan(begin, count)) write_text(text, strings, json);
  }
}

void write_part(const TensorView& tensor, std::size_t begin, std::size_t count, std::size_t level,
                Strings strings, JsonWriter& json) {
  const auto dims = tensor.shape.dims();
  if (level >= dims.size()) return write_elements(tensor, begin, count, strings, json);
  json.begin_array();
  if (level + 1 == dims.size()) {
    write_elements(tensor, begin, count, strings, json);
  } else {
    const auto parts = static_cast<std::size_t>(dims[level]);
    const std::size_t stride = parts == 0 ? 0 : count / parts;
    for (std::size_t i = 0; i < parts; ++i) {
      write_part(tensor, begin + i * stride, stride, level + 1, strings, json);
    }
  }
  json.end_array();
}

}  // namespace

void write_flat(const TensorView& tensor, JsonWriter& json) {
  json.begin_array();
  write_elements(tensor, 0, tensor.elements(), Strings::kText, json);
  json.end_array();
}

void write_nested(const TensorView& tensor, Strings strings, JsonWriter& json) {
  write_part(tensor, 0, tensor.elements(), 0, strings, json);
}

void write_row(const TensorView& tensor, std::size_t row, Strings strings, JsonWriter& json) {
  const auto rows = static_cast<std::size_t>(tensor.shape[0]);
  const std::size_t stride = tensor.elements() / rows;
  write_part(tensor, row * stride, stride, 1, strings, json);
}

}  // namespace sluice::codecs
