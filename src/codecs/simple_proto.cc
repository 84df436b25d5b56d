#include "codecs/simple_proto.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "base/text.h"
#include "codecs/asides.h"
#include "codecs/row_shape.h"
#include "core/features_used.h"
#include "core/servable.h"
#include "prediction.pb.h"

namespace sluice::codecs {
namespace {

class Message final : public SimpleProtoMessage {
 public:
  std::string_view model() const override { return proto.model(); }
  std::string_view version() const override { return proto.version(); }
  PredictRequest proto;
};

const PredictRequest& proto_of(const SimpleProtoMessage& message) {
  return static_cast<const Message&>(message).proto;
}

Failure out_of_range(DType dtype, std::size_t index) {
  return invalid("out_of_range", "value " + std::to_string(index) +
                                     " of 'features' does not fit the model's type " +
                                     std::string(name_of(dtype)));
}

template <class T>
Result<std::span<const std::byte>> to_integers(std::span<const double> values, DType dtype,
                                               Arena& arena) {
  auto out = arena.array<T>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = values[i];
    // 2^63 and 2^64 are doubles, the largest integers are not: compare below them.
    const bool fits = std::trunc(value) == value &&
                      value >= static_cast<double>(std::numeric_limits<T>::min()) &&
                      value < std::ldexp(1.0, std::numeric_limits<T>::digits);
    if (!fits) return out_of_range(dtype, i);
    out[i] = static_cast<T>(value);
  }
  return std::as_bytes(std::span<const T>(out));
}

Result<std::span<const std::byte>> to_bools(std::span<const double> values, Arena& arena) {
  auto out = arena.array<std::uint8_t>(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 0 && values[i] != 1) return out_of_range(DType::kBool, i);
    out[i] = static_cast<std::uint8_t>(values[i]);
  }
  return std::as_bytes(std::span<const std::uint8_t>(out));
}

template <class T, class Convert>
std::span<const std::byte> to_reals(std::span<const double> values, Arena& arena, Convert convert) {
  auto out = arena.array<T>(values.size());
  std::ranges::transform(values, out.begin(), convert);
  return std::as_bytes(std::span<const T>(out));
}

// Numbers in the model's own type.
Result<std::span<const std::byte>> convert(std::span<const double> values, DType dtype,
                                           Arena& arena) {
  for (std::size_t i = 0; is_floating(dtype) && i < values.size(); ++i) {
    const bool too_large = std::isfinite(values[i]) && std::fabs(values[i]) >= overflow_of(dtype);
    if (too_large) return out_of_range(dtype, i);
  }
  switch (dtype) {
    case DType::kFloat32:
      return to_reals<float>(values, arena, [](double x) { return static_cast<float>(x); });
    case DType::kFloat64: return to_reals<double>(values, arena, [](double x) { return x; });
    case DType::kFloat16:
      return to_reals<std::uint16_t>(values, arena,
                                     [](double x) { return float_to_half(static_cast<float>(x)); });
    case DType::kBFloat16:
      return to_reals<std::uint16_t>(values, arena,
                                     [](double x) { return float_to_bf16(static_cast<float>(x)); });
    case DType::kBool: return to_bools(values, arena);
    case DType::kUint8: return to_integers<std::uint8_t>(values, dtype, arena);
    case DType::kUint16: return to_integers<std::uint16_t>(values, dtype, arena);
    case DType::kUint32: return to_integers<std::uint32_t>(values, dtype, arena);
    case DType::kUint64: return to_integers<std::uint64_t>(values, dtype, arena);
    case DType::kInt8: return to_integers<std::int8_t>(values, dtype, arena);
    case DType::kInt16: return to_integers<std::int16_t>(values, dtype, arena);
    case DType::kInt32: return to_integers<std::int32_t>(values, dtype, arena);
    case DType::kInt64: return to_integers<std::int64_t>(values, dtype, arena);
    case DType::kString: break;
  }
  return invalid("wrong_type", "the model takes strings, which this call cannot carry; use REST");
}

Result<void> store_input(const TensorSpec& spec, std::span<const double> values, const Shape& dims,
                         std::string_view name, std::size_t index, Request& out) {
  SLUICE_TRY(const auto rows, fit_rows(spec, dims, values.size(), name));
  if (index > 0 && rows.rows != out.rows) return invalid("ragged", "the inputs differ in rows");
  TensorView tensor;
  tensor.dtype = spec.dtype;
  tensor.shape = rows.shape;
  SLUICE_TRY(tensor.data, convert(values, spec.dtype, out.arena));
  out.inputs[index] = tensor;
  out.rows = rows.rows;
  return {};
}

// The nesting that `rows` and the number of values say.
Result<Shape> nesting(const PredictRequest& proto) {
  const auto count = static_cast<std::int64_t>(proto.features_size());
  if (proto.rows() <= 1) return Shape{count};
  const auto rows = static_cast<std::int64_t>(proto.rows());
  if (count % rows != 0) {
    return invalid("ragged", "'features' has " + std::to_string(count) +
                                 " values, which is no multiple of 'rows'");
  }
  return Shape{rows, count / rows};
}

Result<void> read_positional(const PredictRequest& proto, const Signature& signature,
                             Request& out) {
  SLUICE_TRY(const auto dims, nesting(proto));
  const auto count = static_cast<std::size_t>(proto.features_size());
  if (signature.inputs.size() == 1 && signature.inputs[0].dtype == DType::kFloat32) {
    SLUICE_TRY(const auto rows, fit_rows(signature.inputs[0], dims, count, "features"));
    TensorView tensor;
    tensor.shape = rows.shape;
    tensor.data = std::as_bytes(std::span(proto.features().data(), count));
    out.inputs[0] = tensor;
    out.rows = rows.rows;
    return {};
  }
  auto values = out.arena.array<double>(count);
  std::ranges::copy(proto.features(), values.begin());
  if (signature.inputs.size() == 1) {
    return store_input(signature.inputs[0], values, dims, "features", 0, out);
  }
  // One value per input, row after row.
  const std::size_t width = signature.inputs.size();
  const std::size_t rows = std::max<std::size_t>(proto.rows(), 1);
  if (count != width * rows) {
    return invalid("wrong_width", "'features' has " + std::to_string(count) +
                                      " values; the model takes " + std::to_string(width) +
                                      " a row");
  }
  for (std::size_t i = 0; i < width; ++i) {
    auto column = out.arena.array<double>(rows);
    for (std::size_t row = 0; row < rows; ++row) column[row] = values[row * width + i];
    const Shape shape = rows == 1 ? Shape{1} : Shape{static_cast<std::int64_t>(rows), 1};
    SLUICE_CHECK(store_input(signature.inputs[i], column, shape, signature.inputs[i].name, i, out));
  }
  return {};
}

Result<void> read_named(const PredictRequest& proto, const Signature& signature, Request& out) {
  const bool columns = signature.inputs.size() == 1 && !signature.columns.empty();
  const std::size_t width = columns ? signature.columns.size() : signature.inputs.size();
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < width; ++i) {
    names.push_back(columns ? signature.columns[i] : signature.inputs[i].name);
  }
  auto values = out.arena.array<double>(width);
  for (const auto& [name, value] : proto.named_features()) {
    const auto found = std::ranges::find(names, std::string_view(name));
    if (found == names.end()) {
      return invalid("unknown_feature", "the model has no feature '" + printable(name) + "'" +
                                            did_you_mean(name, names));
    }
    values[static_cast<std::size_t>(found - names.begin())] = value;
  }
  for (const auto name : names) {
    if (!proto.named_features().contains(std::string(name))) {
      return invalid("missing_feature", "feature '" + std::string(name) + "' is missing");
    }
  }
  if (columns) {
    return store_input(signature.inputs[0], values, {static_cast<std::int64_t>(width)}, "features",
                       0, out);
  }
  for (std::size_t i = 0; i < width; ++i) {
    SLUICE_CHECK(store_input(signature.inputs[i], values.subspan(i, 1), {1}, names[i], i, out));
  }
  return {};
}

// Whose features are fetched, and what is sent in place of them.
Result<void> read_ask(const PredictRequest& proto, std::shared_ptr<const FetchedFeatures> of,
                      Request& out) {
  const FetchedFeatures& fetched = *of;
  auto ask = std::make_unique<FeatureAsk>();
  ask->of = std::move(of);
  if (proto.entity_ids_size() > 0 && !proto.entity_id().empty()) {
    return invalid("ambiguous", "send either 'entity_id' or 'entity_ids'");
  }
  if (fetched.keys.size() != 1) {
    return invalid("bad_entity",
                   "an entity of this model has several keys, which this call cannot "
                   "carry; use REST");
  }
  if (proto.entity_ids_size() > 0) {
    ask->entities.assign(proto.entity_ids().begin(), proto.entity_ids().end());
  } else if (!proto.entity_id().empty()) {
    ask->entities = {proto.entity_id()};
  }
  ask->rows = std::max<std::size_t>(ask->entities.size(), 1);
  if (ask->rows > fetched.most_rows) {
    return invalid("too_many_rows", "a request by entity has at most " +
                                        std::to_string(fetched.most_rows) +
                                        " rows (features.max_entities)");
  }
  for (const auto entity : ask->entities) {
    constexpr std::size_t kMostEntity = 1024;
    if (entity.empty() || entity.size() > kMostEntity) {
      return invalid("bad_entity", "an entity's id must have 1 to 1024 bytes");
    }
  }
  std::vector<std::pair<std::size_t, double>> given;
  for (const auto& [name, value] : proto.named_features()) {
    const auto found = std::ranges::find(fetched.names, name);
    if (found == fetched.names.end()) {
      const std::vector<std::string_view> known(fetched.names.begin(), fetched.names.end());
      return invalid("unknown_feature", "the model has no feature '" + printable(name) + "'" +
                                            did_you_mean(name, known));
    }
    given.emplace_back(found - fetched.names.begin(), value);
  }
  for (std::size_t row = 0; row < ask->rows; ++row) {
    for (const auto& [feature, value] : given) {
      auto& one = ask->given.emplace_back();
      one.row = row;
      one.feature = feature;
      one.data.emplace<double>(value);
    }
  }
  out.rows = ask->rows;
  out.ask = std::move(ask);
  return {};
}

Result<void> read_inputs(const PredictRequest& proto, const Signature& signature, Request& out) {
  out.inputs = out.arena.array<TensorView>(signature.inputs.size());
  if (!proto.named_features().empty()) {
    if (proto.features_size() > 0) {
      return invalid("ambiguous", "send either 'features' or 'named_features'");
    }
    return read_named(proto, signature, out);
  }
  if (proto.features_size() == 0) return invalid("missing_features", "'features' is empty");
  return read_positional(proto, signature, out);
}

Result<void> rebind(Request& request, const Signature& signature) {
  return read_inputs(proto_of(*static_cast<const SimpleProtoMessage*>(request.payload)), signature,
                     request);
}

}  // namespace

Result<std::unique_ptr<SimpleProtoMessage>> parse_simple_proto(std::string_view bytes) {
  auto message = std::make_unique<Message>();
  if (!message->proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return invalid("not_protobuf", "the message is not a valid PredictRequest");
  }
  return message;
}

Result<void> decode_simple_proto(const SimpleProtoMessage& message, const Signature& signature,
                                 Request& out) {
  const PredictRequest& proto = proto_of(message);
  out.payload = &message;
  out.rebind = rebind;
  constexpr std::size_t kMaxId = 128;
  const bool fetches = signature.fetched != nullptr;
  for (const auto* text : {&proto.entity_id(), &proto.cache_key()}) {
    if (fetches && text == &proto.entity_id()) continue;  // a key of its own
    if (text->size() > kMaxId) return invalid("too_long", "an identifier has more than 128 bytes");
  }
  if (!proto.user_id().empty()) SLUICE_CHECK(set_user(out, proto.user_id()));
  out.entity_id = proto.entity_id();
  out.cache_key = proto.cache_key();
  if (proto.request_id().size() <= kMaxId) out.request_id = proto.request_id();
  out.debug = proto.debug();
  out.explain = proto.explain();
  if (proto.has_true_label()) out.true_label = proto.true_label();
  const bool named =
      !proto.entity_id().empty() || proto.entity_ids_size() > 0 || !proto.named_features().empty();
  if (signature.fetched != nullptr && proto.features_size() == 0 && named) {
    out.rebind = nullptr;  // versions take what was fetched, and not the message
    SLUICE_CHECK(read_ask(proto, signature.fetched, out));
    out.many_rows = proto.entity_ids_size() > 0;
  } else {
    SLUICE_CHECK(read_inputs(proto, signature, out));
    out.many_rows = proto.rows() > 1;
  }
  out.bound_to = signature.fingerprint;
  out.may_split_rows = true;
  return {};
}

std::string encode_simple_proto(const Request& request, std::string_view model,
                                std::string_view version) {
  const Prediction& prediction = request.reply.prediction;
  PredictResponse out;
  if (!prediction.values.empty()) out.set_prediction(static_cast<float>(prediction.values[0]));
  if (!prediction.confidences.empty()) {
    out.set_confidence(static_cast<float>(prediction.confidences[0]));
  }
  out.set_model(std::string(model));
  out.set_model_version(std::string(version));
  out.set_request_id(std::string(request.request_id));
  if (!prediction.labels.empty()) out.set_label(std::string(prediction.labels[0]));
  if (request.many_rows || prediction.values.size() > 1) {
    for (const double value : prediction.values) out.add_predictions(static_cast<float>(value));
  }
  if (request.many_rows) {
    for (const double value : prediction.confidences) {
      out.add_confidences(static_cast<float>(value));
    }
    for (const auto label : prediction.labels) out.add_labels(std::string(label));
  }
  for (auto& [name, text] : asides_of(request)) {
    (name == "debug" ? out.mutable_debug() : out.mutable_explanation())->swap(text);
  }
  if (!request.feature_times.empty()) {
    const Signature& signature = request.servable->signature();
    JsonWriter used(*out.mutable_features_used());
    write_features_used(request.inputs, signature, request.rows, request.many_rows, used);
    JsonWriter times(*out.mutable_feature_times());
    write_feature_times(signature, request.rows, request.many_rows, request.feature_times, times);
  }
  for (const auto& warning : request.warnings) out.add_warnings(warning);
  return out.SerializeAsString();
}

}  // namespace sluice::codecs
