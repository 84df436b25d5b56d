#include "engines/onnx_session.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/log.h"

namespace sluice::engines {
namespace {

struct TypePair {
  ONNXTensorElementDataType onnx;
  DType ours;
};
constexpr std::array<TypePair, 14> kTypes = {
    {{ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, DType::kFloat32},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, DType::kUint8},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, DType::kInt8},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, DType::kUint16},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, DType::kInt16},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, DType::kInt32},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, DType::kInt64},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, DType::kString},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, DType::kBool},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, DType::kFloat16},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, DType::kFloat64},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, DType::kUint32},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, DType::kUint64},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, DType::kBFloat16}}};

std::optional<DType> from_onnx(ONNXTensorElementDataType type) {
  for (const auto& pair : kTypes) {
    if (pair.onnx == type) return pair.ours;
  }
  return std::nullopt;
}

ONNXTensorElementDataType to_onnx(DType type) {
  for (const auto& pair : kTypes) {
    if (pair.ours == type) return pair.onnx;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

// Values of one run, released together. Null entries are for ONNX Runtime to fill.
class Values {
 public:
  Values(std::size_t count, Arena& arena) : values_(arena.array<OrtValue*>(count)) {
    std::ranges::fill(values_, nullptr);
  }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;
  ~Values() { clear(); }
  void clear() {
    for (OrtValue*& value : values_) {
      if (value != nullptr) Ort::GetApi().ReleaseValue(std::exchange(value, nullptr));
    }
  }
  OrtValue** data() { return values_.data(); }
  OrtValue*& operator[](std::size_t i) { return values_[i]; }

 private:
  std::span<OrtValue*> values_;
};

void check(OrtStatus* status) { Ort::ThrowOnError(status); }

// A value over `tensor`'s own memory; strings are copied, as ONNX Runtime owns its strings.
void wrap(const TensorView& tensor, const OrtMemoryInfo* memory, OrtValue** out) {
  const auto& api = Ort::GetApi();
  const auto dims = tensor.shape.dims();
  if (tensor.dtype != DType::kString) {
    check(api.CreateTensorWithDataAsOrtValue(memory, const_cast<std::byte*>(tensor.data.data()),
                                             tensor.data.size(), dims.data(), dims.size(),
                                             to_onnx(tensor.dtype), out));
    return;
  }
  Ort::AllocatorWithDefaultOptions allocator;
  check(api.CreateTensorAsOrtValue(allocator, dims.data(), dims.size(),
                                   ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, out));
  for (std::size_t i = 0; i < tensor.strings.size(); ++i) {
    char* to = nullptr;
    check(api.GetResizedStringTensorElementBuffer(*out, i, tensor.strings[i].size(), &to));
    if (!tensor.strings[i].empty()) {
      std::memcpy(to, tensor.strings[i].data(), tensor.strings[i].size());
    }
  }
}

TensorView copy_strings(const Ort::ConstValue& value, std::size_t count, Arena& arena) {
  TensorView out;
  out.dtype = DType::kString;
  const std::size_t bytes = value.GetStringTensorDataLength();
  auto text = arena.array<char>(bytes);
  auto offsets = arena.array<std::size_t>(count);
  auto views = arena.array<std::string_view>(count);
  if (count > 0) value.GetStringTensorContent(text.data(), bytes, offsets.data(), count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t end = i + 1 < count ? offsets[i + 1] : bytes;
    views[i] = {text.data() + offsets[i], end - offsets[i]};
  }
  out.strings = views;
  return out;
}

// Copies a tensor that ONNX Runtime allocated into the arena.
Result<TensorView> copy_tensor(const OrtValue* raw, Arena& arena) {
  const Ort::ConstValue value{raw};
  const auto info = value.GetTensorTypeAndShapeInfo();
  const auto dtype = from_onnx(info.GetElementType());
  const auto dims = info.GetShape();
  if (!dtype || dims.size() > Shape::kMaxRank) return internal("an output has an unknown type");
  const std::size_t count = info.GetElementCount();
  TensorView out;
  if (*dtype == DType::kString) {
    out = copy_strings(value, count, arena);
  } else {
    auto bytes = arena.array<std::byte>(count * size_of(*dtype));
    if (!bytes.empty()) std::memcpy(bytes.data(), value.GetTensorRawData(), bytes.size());
    out.data = bytes;
  }
  out.dtype = *dtype;
  for (const auto dim : dims) out.shape.push(dim);
  return out;
}

// The place of a map's key in the model's list of classes.
std::size_t class_index(const std::vector<std::string>& classes, std::string_view key) {
  return static_cast<std::size_t>(std::ranges::find(classes, key) - classes.begin());
}

// ZipMap's sequence of maps as one [rows, classes] tensor in the model's own order of classes.
Result<TensorView> unzip(const OrtValue* raw, const std::vector<std::string>& classes,
                         Arena& arena) {
  Ort::AllocatorWithDefaultOptions allocator;
  const Ort::ConstValue sequence{raw};
  const std::size_t rows = sequence.GetCount();
  TensorView view;
  view.shape = {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(classes.size())};
  SLUICE_TRY(const auto count, element_count(view.shape.dims()));
  auto out = arena.array<float>(count);
  std::ranges::fill(out, 0.0F);
  for (std::size_t row = 0; row < rows; ++row) {
    const Ort::Value map = sequence.GetValue(static_cast<int>(row), allocator);
    const Ort::Value keys = map.GetValue(0, allocator);
    const Ort::Value values = map.GetValue(1, allocator);
    SLUICE_TRY(const auto key_tensor, copy_tensor(keys, arena));
    SLUICE_TRY(const auto value_tensor, copy_tensor(values, arena));
    for (std::size_t i = 0; i < value_tensor.elements(); ++i) {
      const auto index =
          key_tensor.dtype == DType::kString
              ? class_index(classes, key_tensor.strings[i])
              : class_index(classes, std::to_string(key_tensor.as<std::int64_t>()[i]));
      if (index >= classes.size()) return internal("an output names an unknown class");
      out[row * classes.size() + index] = static_cast<float>(number_at(value_tensor, i));
    }
  }
  view.data = std::as_bytes(out);
  return view;
}

bool rows_then_fixed(const TensorSpec& spec) {
  return !spec.dims.empty() && spec.dims[0] == -1 &&
         std::ranges::all_of(spec.row_dims(), [](std::int64_t dim) { return dim > 0; });
}

// An uninitialised tensor of `spec` with `rows` rows. Errors: more than a tensor may hold.
Result<TensorView> allocate(const TensorSpec& spec, std::int64_t rows, Arena& arena) {
  TensorView out;
  out.dtype = spec.dtype;
  for (const auto dim : spec.dims) out.shape.push(dim == -1 ? rows : dim);
  SLUICE_TRY(const auto count, element_count(out.shape.dims()));
  out.data = arena.array<std::byte>(count * size_of(spec.dtype));
  return out;
}

}  // namespace

void hand_over(Ort::SessionOptions& options, const std::vector<OnnxWeight>& weights) {
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeDefault);
  std::vector<std::string> names;
  std::vector<Ort::Value> values;
  for (const auto& weight : weights) {
    names.push_back(weight.name);
    // The API wants void*, and only reads.
    values.push_back(Ort::Value::CreateTensor(
        memory, const_cast<char*>(weight.data.data()), weight.data.size(), weight.dims.data(),
        weight.dims.size(), static_cast<ONNXTensorElementDataType>(weight.type)));
  }
  options.AddExternalInitializers(names, values);
}

OnnxModel::OnnxModel(std::shared_ptr<Ort::Env> env, std::vector<Ort::Session> sessions,
                     OnnxFacts facts, std::shared_ptr<WeightsInPlace> in_place)
    : env_(std::move(env)),
      in_place_(std::move(in_place)),
      sessions_(std::move(sessions)),
      memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)),
      facts_(std::move(facts)) {}

Result<TensorSpec> OnnxModel::describe_value(const Ort::TypeInfo& type, std::string name,
                                             OutputKind* output) const {
  TensorSpec spec;
  spec.name = std::move(name);
  if (type.GetONNXType() == ONNX_TYPE_SEQUENCE && output != nullptr && !facts_.classes.empty()) {
    output->is_map_sequence = true;
    spec.dims = {-1, static_cast<std::int64_t>(facts_.classes.size())};
    spec.role = Role::kProbabilities;
    return spec;
  }
  if (type.GetONNXType() != ONNX_TYPE_TENSOR) {
    return invalid("bad_model", "'" + spec.name +
                                    "' is not a tensor; sequences and maps are only "
                                    "read as the output of a classifier");
  }
  const auto tensor = type.GetTensorTypeAndShapeInfo();
  const auto dtype = from_onnx(tensor.GetElementType());
  if (!dtype)
    return invalid("bad_model", "'" + spec.name + "' has an element type without support");
  spec.dtype = *dtype;
  spec.dims = tensor.GetShape();
  if (spec.dims.size() > Shape::kMaxRank) {
    return invalid("bad_model", "'" + spec.name + "' has more than 16 dimensions");
  }
  const auto facts = facts_.outputs.find(spec.name);
  if (output != nullptr && facts != facts_.outputs.end()) {
    spec.role = facts->second.role;
    spec.says_places = facts->second.says_places;
  }
  return spec;
}

Result<void> OnnxModel::describe() {
  Ort::AllocatorWithDefaultOptions allocator;
  const Ort::Session& session = sessions_.first();
  for (std::size_t i = 0; i < session.GetInputCount(); ++i) {
    SLUICE_TRY(auto spec,
               describe_value(session.GetInputTypeInfo(i),
                              session.GetInputNameAllocated(i, allocator).get(), nullptr));
    signature_.inputs.push_back(std::move(spec));
  }
  for (std::size_t i = 0; i < session.GetOutputCount(); ++i) {
    OutputKind kind;
    SLUICE_TRY(auto spec,
               describe_value(session.GetOutputTypeInfo(i),
                              session.GetOutputNameAllocated(i, allocator).get(), &kind));
    signature_.outputs.push_back(std::move(spec));
    kinds_.push_back(kind);
  }
  signature_.classes = facts_.classes;
  // 0, 1, 2 … name nothing; any other numbers do.
  signature_.classes_are_names = !facts_.classes_are_integers;
  for (std::size_t i = 0; i < facts_.classes.size(); ++i) {
    if (facts_.classes[i] != std::to_string(i)) signature_.classes_are_names = true;
  }
  if (facts_.classes.empty()) signature_.classes_are_names = false;
  for (const auto& spec : signature_.inputs) input_names_.push_back(spec.name.c_str());
  for (const auto& spec : signature_.outputs) output_names_.push_back(spec.name.c_str());
  learn_output_shapes();
  return {};
}

// A file may declare shapes that its nodes do not keep to, so they are believed only after a run of
// two rows has shown them. Preallocated outputs save a fifth of a small run.
void OnnxModel::learn_output_shapes() {
  if (!std::ranges::all_of(signature_.inputs, rows_then_fixed)) return;
  Arena arena;
  std::vector<TensorView> inputs;
  for (const auto& spec : signature_.inputs) {
    if (spec.dtype == DType::kString) return;
    const auto input = allocate(spec, 2, arena);
    if (!input) return;
    inputs.push_back(*input);
    std::memset(const_cast<std::byte*>(inputs.back().data.data()), 0, inputs.back().data.size());
  }
  std::vector<TensorView> outputs(signature_.outputs.size());
  if (!run(inputs, outputs, arena)) return;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const auto& spec = signature_.outputs[i];
    kinds_[i].preallocate = !kinds_[i].is_map_sequence && spec.dtype != DType::kString &&
                            rows_then_fixed(spec) && spec.fits(outputs[i].shape) &&
                            outputs[i].shape[0] == 2;
  }
  // ONNX Runtime writes nothing into a buffer for an output that is an input or a constant itself:
  // whatever was in the memory would be the answer. So all are tried on memory with something else.
  std::vector<TensorView> again(outputs.size());
  const bool ran = run_on(Memory::kDirty, inputs, again, arena).has_value();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const bool same = ran && std::ranges::equal(again[i].data, outputs[i].data);
    kinds_[i].preallocate = kinds_[i].preallocate && same;
  }
}

Result<void> OnnxModel::run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                            Arena& arena) const {
  return run_on(Memory::kAsItComes, inputs, outputs, arena);
}

Result<void> OnnxModel::run_on(Memory memory, std::span<const TensorView> inputs,
                               std::span<TensorView> outputs, Arena& arena) const {
  try {
    Values in(inputs.size(), arena);
    Values out(outputs.size(), arena);
    for (std::size_t i = 0; i < inputs.size(); ++i) wrap(inputs[i], memory_, &in[i]);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!kinds_[i].preallocate) continue;
      SLUICE_TRY(outputs[i], allocate(signature_.outputs[i], inputs[0].shape[0], arena));
      if (memory == Memory::kDirty) {
        std::memset(const_cast<std::byte*>(outputs[i].data.data()), 0xA5, outputs[i].data.size());
      }
      wrap(outputs[i], memory_, &out[i]);
    }
    check(Ort::GetApi().Run(sessions_.mine(), nullptr, input_names_.data(), in.data(),
                            inputs.size(), output_names_.data(), outputs.size(), out.data()));
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (kinds_[i].preallocate) continue;
      SLUICE_TRY(outputs[i], kinds_[i].is_map_sequence ? unzip(out[i], facts_.classes, arena)
                                                       : copy_tensor(out[i], arena));
    }
    return {};
  } catch (const Ort::Exception& error) {
    log::debug(std::string("ONNX Runtime: ") + error.what());
    return fail(Code::kInternal, "engine_failed", "the model failed to run on this input");
  }
}

std::vector<Fact> OnnxModel::facts() const {
  std::vector<Fact> out;
  for (const auto& [domain, version] : facts_.opsets) {
    out.push_back({domain.empty() ? "opset" : "opset " + domain, std::to_string(version)});
  }
  out.push_back({"ir_version", std::to_string(facts_.ir_version)});
  if (!facts_.producer.empty()) out.push_back({"producer", facts_.producer});
  out.push_back({"nodes", std::to_string(facts_.nodes)});
  return out;
}

}  // namespace sluice::engines
