#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/file.h"
#include "base/half.h"
#include "base/text.h"
#include "tools/compress/onnx_graph.h"

namespace sluice::tools::compress {
namespace {

static_assert(std::endian::native == std::endian::little);

Failure bad_model(const std::string& what) { return invalid("bad_model", what); }

std::size_t size_of(std::int32_t type) {
  switch (type) {
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::INT64:
    case onnx::TensorProto::UINT64: return 8;
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::INT32:
    case onnx::TensorProto::UINT32: return 4;
    case onnx::TensorProto::FLOAT16:
    case onnx::TensorProto::BFLOAT16:
    case onnx::TensorProto::INT16:
    case onnx::TensorProto::UINT16: return 2;
    case onnx::TensorProto::BOOL:
    case onnx::TensorProto::INT8:
    case onnx::TensorProto::UINT8: return 1;
    default: return 0;
  }
}

template <class T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// The values that are not in raw_data, each in the field of its type (onnx.proto, TensorProto).
std::string bytes_of_fields(const onnx::TensorProto& tensor) {
  std::string out;
  for (const auto value : tensor.float_data()) append(out, value);
  for (const auto value : tensor.double_data()) append(out, value);
  for (const auto value : tensor.int64_data()) append(out, value);
  for (const auto value : tensor.uint64_data()) {
    if (tensor.data_type() == onnx::TensorProto::UINT32) {
      append(out, static_cast<std::uint32_t>(value));
    } else {
      append(out, value);
    }
  }
  for (const auto value : tensor.int32_data()) {
    switch (size_of(tensor.data_type())) {
      case 1: append(out, static_cast<std::uint8_t>(value)); break;
      case 2: append(out, static_cast<std::uint16_t>(value)); break;
      default: append(out, value);
    }
  }
  return out;
}

struct External {
  std::string location;
  std::uint64_t offset = 0;
};

Result<External> external_of(const onnx::TensorProto& tensor) {
  External out;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") out.location = entry.value();
    if (entry.key() == "offset") {
      const auto offset = parse_uint(entry.value());
      if (!offset) return bad_model("external data of the model has an offset that is no number");
      out.offset = *offset;
    }
  }
  return out;
}

Result<std::string> read_exactly(const Fd& fd, std::uint64_t offset, std::uint64_t size) {
  std::string out(size, '\0');
  for (std::uint64_t done = 0; done < size;) {
    const auto got =
        ::pread(fd.get(), out.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return bad_model("a file of the model's external data is cut off");
    done += static_cast<std::uint64_t>(got);
  }
  return out;
}

onnx::AttributeProto& fresh_attribute(onnx::NodeProto& node, std::string_view name) {
  for (auto& attribute : *node.mutable_attribute()) {
    if (attribute.name() != name) continue;
    attribute.Clear();
    attribute.set_name(std::string(name));
    return attribute;
  }
  auto& out = *node.add_attribute();
  out.set_name(std::string(name));
  return out;
}

}  // namespace

onnx::TensorProto tensor_of(std::string_view name, std::span<const std::int64_t> dims,
                            std::int32_t data_type, std::string raw) {
  onnx::TensorProto out;
  out.set_name(std::string(name));
  for (const auto dim : dims) out.add_dims(dim);
  out.set_data_type(data_type);
  out.set_raw_data(std::move(raw));
  return out;
}

bool is_external(const onnx::TensorProto& tensor) {
  return tensor.data_location() == onnx::TensorProto::EXTERNAL;
}

bool is_standard(const onnx::NodeProto& node) {
  return node.domain().empty() || node.domain() == "ai.onnx";
}

std::vector<std::int64_t> dims_of(const onnx::TensorProto& tensor) {
  return {tensor.dims().begin(), tensor.dims().end()};
}

std::uint64_t elements_of(const onnx::TensorProto& tensor) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  std::uint64_t out = 1;
  for (const auto dim : tensor.dims()) {
    if (dim <= 0) return 0;
    if (out > kMost / static_cast<std::uint64_t>(dim)) return 0;
    out *= static_cast<std::uint64_t>(dim);
  }
  return out;
}

const onnx::AttributeProto* attribute(const onnx::NodeProto& node, std::string_view name) {
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t attribute_int(const onnx::NodeProto& node, std::string_view name,
                           std::int64_t otherwise) {
  const auto* const found = attribute(node, name);
  return found && found->has_i() ? found->i() : otherwise;
}

float attribute_float(const onnx::NodeProto& node, std::string_view name, float otherwise) {
  const auto* const found = attribute(node, name);
  return found && found->has_f() ? found->f() : otherwise;
}

void set_attribute(onnx::NodeProto& node, std::string_view name, std::int64_t value) {
  auto& out = fresh_attribute(node, name);
  out.set_type(onnx::AttributeProto::INT);
  out.set_i(value);
}

void set_attribute(onnx::NodeProto& node, std::string_view name, float value) {
  auto& out = fresh_attribute(node, name);
  out.set_type(onnx::AttributeProto::FLOAT);
  out.set_f(value);
}

void set_attribute(onnx::NodeProto& node, std::string_view name,
                   std::span<const std::int64_t> values) {
  auto& out = fresh_attribute(node, name);
  out.set_type(onnx::AttributeProto::INTS);
  for (const auto value : values) out.add_ints(value);
}

Result<std::string> OnnxGraph::bytes(const onnx::TensorProto& tensor) const {
  const std::size_t element = size_of(tensor.data_type());
  const std::uint64_t count = elements_of(tensor);
  if (element == 0) return bad_model("a tensor of the model has a type without plain values");
  if (count > std::numeric_limits<std::uint64_t>::max() / element) {
    return bad_model("a tensor of the model is larger than any memory");
  }
  const std::uint64_t size = count * element;
  std::string out;
  if (is_external(tensor)) {
    SLUICE_TRY(const auto where, external_of(tensor));
    SLUICE_TRY(const auto directory, open_directory(directory_.empty() ? "." : directory_));
    const auto fd = open_beneath(directory, where.location);
    if (!fd) return bad_model("a file of the model's external data is not beside it");
    return read_exactly(*fd, where.offset, size);
  }
  out = tensor.has_raw_data() ? tensor.raw_data() : bytes_of_fields(tensor);
  if (out.size() == size) return out;
  return bad_model("tensor '" + printable(tensor.name()) + "' of the model has " +
                   std::to_string(out.size()) + " bytes where its shape says " +
                   std::to_string(size));
}

Result<std::vector<float>> OnnxGraph::floats(const onnx::TensorProto& tensor) const {
  SLUICE_TRY(const auto raw, bytes(tensor));
  std::vector<float> out(elements_of(tensor));
  const auto read = [&]<class T>(T, auto convert) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      T value;
      std::memcpy(&value, raw.data() + i * sizeof value, sizeof value);
      out[i] = convert(value);
    }
  };
  switch (tensor.data_type()) {
    case onnx::TensorProto::FLOAT: read(float{}, [](float value) { return value; }); break;
    case onnx::TensorProto::DOUBLE:
      read(double{}, [](double value) { return static_cast<float>(value); });
      break;
    case onnx::TensorProto::FLOAT16: read(std::uint16_t{}, half_to_float); break;
    case onnx::TensorProto::BFLOAT16: read(std::uint16_t{}, bf16_to_float); break;
    default:
      return bad_model("tensor '" + printable(tensor.name()) + "' of the model is not of floats");
  }
  return out;
}

std::uint64_t OnnxGraph::weight_bytes() const {
  std::uint64_t out = 0;
  for (const auto& tensor : graph().initializer()) {
    out += elements_of(tensor) * size_of(tensor.data_type());
  }
  return out;
}

}  // namespace sluice::tools::compress
