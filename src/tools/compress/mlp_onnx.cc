#include "tools/compress/mlp_onnx.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace sluice::tools::compress {
namespace {

constexpr std::int64_t kOpset = 13;
constexpr std::int64_t kMlOpset = 1;  // where ZipMap begins

std::int32_t onnx_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat64: return onnx::TensorProto::DOUBLE;
    case DType::kFloat16: return onnx::TensorProto::FLOAT16;
    case DType::kBFloat16: return onnx::TensorProto::BFLOAT16;
    case DType::kInt32: return onnx::TensorProto::INT32;
    case DType::kInt64: return onnx::TensorProto::INT64;
    case DType::kString: return onnx::TensorProto::STRING;
    default: return onnx::TensorProto::FLOAT;
  }
}

bool are_places(const std::vector<std::string>& classes) {
  for (std::size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] != std::to_string(i)) return false;
  }
  return true;
}

const onnx::ValueInfoProto* output_of(const OnnxGraph* graph, std::string_view name) {
  if (graph == nullptr) return nullptr;
  for (const auto& output : graph->graph().output()) {
    if (output.name() == name) return &output;
  }
  return nullptr;
}

// Values of the student's own have names that begin so.
class Writer {
 public:
  Writer(const TrainedMlp& trained, const Teacher& teacher, const OnnxGraph* original)
      : trained_(trained), teacher_(teacher), original_(original) {
    auto& model = out_.graph.model();
    model.set_ir_version(8);
    model.set_producer_name("sluice");
    out_.graph.graph().set_name("student");
    out_.graph.need_opset("", kOpset);
  }

  Result<WrittenMlp> write() {
    add_layers(add_input());
    const auto& outputs = teacher_.signature().outputs;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const bool taught = i == teacher_.subject().output;
      const bool label =
          taught ? teacher_.subject().role == Role::kLabel : follows_as_label(outputs[i]);
      if (label) {
        add_label(outputs[i]);
      } else if (taught) {
        add_taught(outputs[i]);
      } else {
        out_.left_out.push_back(outputs[i].name);
      }
    }
    SLUICE_CHECK(out_.graph.settle());
    return std::move(out_);
  }

 private:
  // ---- what nodes are put together from

  std::string node(std::string_view op, std::vector<std::string> inputs, std::string result = {},
                   std::string_view domain = "") {
    if (result.empty()) result = "student/" + std::to_string(++count_);
    last_ = &out_.graph.add_node(op, "make " + result, std::move(inputs), {result}, domain);
    return result;
  }

  template <class T>
  std::string constant(std::vector<std::int64_t> dims, const std::vector<T>& values) {
    const auto name = "student/" + std::to_string(++count_);
    *out_.graph.graph().add_initializer() = tensor_of(name, dims, std::span<const T>(values));
    return name;
  }

  std::string cast(std::string value, std::int32_t type, std::string result = {}) {
    auto out = node("Cast", {std::move(value)}, std::move(result));
    set_attribute(*last_, "to", std::int64_t{type});
    return out;
  }

  static void declare(onnx::ValueInfoProto& value, const TensorSpec& spec,
                      std::span<const std::int64_t> row_dims) {
    value.set_name(spec.name);
    auto& tensor = *value.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(onnx_type(spec.dtype));
    tensor.mutable_shape()->add_dim()->set_dim_param("N");
    for (const auto dim : row_dims) tensor.mutable_shape()->add_dim()->set_dim_value(dim);
  }

  // ---- the way through the network

  std::string add_input() {
    const auto& spec = teacher_.signature().inputs[0];
    declare(*out_.graph.graph().add_input(), spec, teacher_.row_dims());
    std::string x = spec.name;
    if (spec.dtype != DType::kFloat32) x = cast(x, onnx::TensorProto::FLOAT);
    if (teacher_.row_dims().size() != 1) {
      x = node("Flatten", {x});
      set_attribute(*last_, "axis", std::int64_t{1});
    }
    const auto width = static_cast<std::int64_t>(teacher_.columns());
    if (!trained_.any_missing && !trained_.centred) return x;
    const auto means = constant({width}, trained_.means);
    if (trained_.any_missing) x = node("Where", {node("IsNaN", {x}), means, x});
    return trained_.centred ? node("Sub", {x, means}) : x;
  }

  void add_layers(std::string x) {
    const auto& layers = trained_.mlp.layers;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto from = static_cast<std::int64_t>(layers[i].from);
      const auto to = static_cast<std::int64_t>(layers[i].to);
      const auto weights = constant({from, to}, layers[i].weights);
      x = node("Gemm", {x, weights, constant({to}, layers[i].bias)});
      if (i + 1 < layers.size()) x = node("Relu", {x});
    }
    scores_ = std::move(x);
  }

  // ---- outputs

  bool follows_as_label(const TensorSpec& spec) const {
    const auto role = spec.role != Role::kUnknown ? spec.role : role_by_name(spec);
    const bool named = !teacher_.signature().classes.empty();
    return role == Role::kLabel && teacher_.subject().lesson != Lesson::kValues &&
           spec.dims.size() <= 2 && (named || spec.dtype != DType::kString);
  }

  void add_taught(const TensorSpec& spec) {
    std::string value = scores_;
    if (teacher_.subject().role == Role::kProbabilities) {
      const bool one = teacher_.subject().lesson == Lesson::kBinary;
      value = node(one ? "Sigmoid" : "Softmax", {value});
      if (!one) set_attribute(*last_, "axis", std::int64_t{1});
    }
    const auto* const declared = output_of(original_, spec.name);
    if (declared != nullptr && declared->type().has_sequence_type()) {
      add_maps(value, *declared);
      return;
    }
    put_out(value, spec, onnx::TensorProto::FLOAT, teacher_.subject().width);
  }

  // As exporters of scikit-learn's classifiers put probabilities out.
  void add_maps(const std::string& value, const onnx::ValueInfoProto& declared) {
    out_.graph.need_opset("ai.onnx.ml", kMlOpset);
    node("ZipMap", {value}, declared.name(), "ai.onnx.ml");
    const auto& map = declared.type().sequence_type().elem_type().map_type();
    const bool text = map.key_type() != onnx::TensorProto::INT64;
    add_keys(text ? "classlabels_strings" : "classlabels_int64s", text);
    *out_.graph.graph().add_output() = declared;
  }

  bool lists_classes() const {
    const auto& subject = teacher_.subject();
    return subject.lesson == Lesson::kClasses &&
           teacher_.signature().classes.size() == subject.width;
  }

  // scikit-learn's exporters end with this node, and readers know the classes by it: here it only
  // chooses the greatest score, by an identity matrix.
  std::string classify(bool text) {
    const auto classes = teacher_.signature().classes.size();
    out_.graph.need_opset("ai.onnx.ml", kMlOpset);
    auto label = node("LinearClassifier", {scores_}, {}, "ai.onnx.ml");
    last_->add_output("student/scores");
    set_floats("coefficients", classes * classes);
    for (std::size_t i = 0; i < classes; ++i) {
      last_->mutable_attribute(0)->set_floats(static_cast<int>(i * classes + i), 1);
    }
    set_floats("intercepts", classes);
    add_keys(text ? "classlabels_strings" : "classlabels_ints", text);
    return label;
  }

  // So many zeros.
  void set_floats(std::string_view name, std::size_t count) {
    auto& attribute = *last_->add_attribute();
    attribute.set_name(std::string(name));
    attribute.set_type(onnx::AttributeProto::FLOATS);
    attribute.mutable_floats()->Resize(static_cast<int>(count), 0);
  }

  void add_keys(std::string_view name, bool text) {
    const auto& classes = teacher_.signature().classes;
    if (!text) {
      set_attribute(*last_, name, std::span<const std::int64_t>(numbers_of(classes)));
      return;
    }
    auto& attribute = *last_->add_attribute();
    attribute.set_name(std::string(name));
    attribute.set_type(onnx::AttributeProto::STRINGS);
    for (const auto& one : classes) attribute.add_strings(one);
  }

  static std::vector<std::int64_t> numbers_of(const std::vector<std::string>& classes) {
    std::vector<std::int64_t> out;
    for (const auto& name : classes) out.push_back(parse_int(name).value_or(0));
    return out;
  }

  void add_label(const TensorSpec& spec) {
    const bool text = spec.dtype == DType::kString;
    const std::int32_t type = text ? onnx::TensorProto::STRING : onnx::TensorProto::INT64;
    if (lists_classes()) {
      const auto label = classify(text);
      put_out(spec.says_places ? place_of_greatest("student/scores") : label, spec, type, 1);
      return;
    }
    std::string place;
    if (teacher_.subject().lesson == Lesson::kBinary) {
      const auto zero = constant<float>({1}, {0});
      place = cast(node("Greater", {scores_, zero}), onnx::TensorProto::INT64);
      place = node("Reshape", {place, constant<std::int64_t>({1}, {-1})});
    } else {
      place = place_of_greatest(scores_);
    }
    const auto& classes = teacher_.signature().classes;
    if (!spec.says_places && (text || !are_places(classes)))
      place = node("Gather", {class_list(text), place});
    put_out(place, spec, type, 1);
  }

  std::string place_of_greatest(const std::string& scores) {
    auto place = node("ArgMax", {scores});
    set_attribute(*last_, "axis", std::int64_t{1});
    set_attribute(*last_, "keepdims", std::int64_t{0});
    return place;
  }

  std::string class_list(bool text) {
    const auto& classes = teacher_.signature().classes;
    if (!text) return constant({static_cast<std::int64_t>(classes.size())}, numbers_of(classes));
    auto& tensor = *out_.graph.graph().add_initializer();
    tensor.set_name("student/" + std::to_string(++count_));
    tensor.set_data_type(onnx::TensorProto::STRING);
    tensor.add_dims(static_cast<std::int64_t>(classes.size()));
    for (const auto& name : classes) tensor.add_string_data(name);
    return tensor.name();
  }

  // `value` of `type` as the output that `spec` says; a free dimension of a row is what is left.
  void put_out(std::string value, const TensorSpec& spec, std::int32_t type, std::size_t width) {
    const auto dims = spec.row_dims();
    std::vector<std::int64_t> row(dims.begin(), dims.end());
    std::int64_t left = static_cast<std::int64_t>(width);
    for (const auto dim : row) left = dim > 0 ? left / dim : left;
    for (auto& dim : row) dim = dim < 0 ? std::exchange(left, 1) : dim;
    const bool column = row.size() == 1 && type == onnx::TensorProto::FLOAT;
    if (!column) {
      std::vector<std::int64_t> shape = {-1};
      shape.insert(shape.end(), row.begin(), row.end());
      value = node("Reshape", {value, constant({static_cast<std::int64_t>(shape.size())}, shape)});
    }
    if (type == onnx_type(spec.dtype)) {
      node("Identity", {value}, spec.name);
    } else {
      cast(value, onnx_type(spec.dtype), spec.name);
    }
    declare(*out_.graph.graph().add_output(), spec, row);
  }

  const TrainedMlp& trained_;
  const Teacher& teacher_;
  const OnnxGraph* original_;
  WrittenMlp out_;
  onnx::NodeProto* last_ = nullptr;
  std::string scores_;
  int count_ = 0;
};

}  // namespace

Result<WrittenMlp> write_mlp(const TrainedMlp& trained, const Teacher& teacher,
                             const OnnxGraph* original) {
  return Writer(trained, teacher, original).write();
}

}  // namespace sluice::tools::compress
