#include "codecs/simple_json.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/json_writer.h"
#include "base/name_list.h"
#include "base/text.h"
#include "codecs/asides.h"
#include "codecs/entity_reader.h"
#include "codecs/feature_reader.h"
#include "codecs/json_object.h"

namespace sluice::codecs {
namespace {

constexpr std::size_t kMaxKeys = 256;
constexpr std::size_t kMaxId = 128;

enum Key : std::uint8_t {
  kFeatures,
  kUserId,
  kEntityId,
  kCacheKey,
  kTrueLabel,
  kDebug,
  kExplain,
  kRequestId,
  kKeyCount
};
constexpr std::array<std::string_view, kKeyCount> kKeys = {"features",  "user_id",    "entity_id",
                                                           "cache_key", "true_label", "debug",
                                                           "explain",   "request_id"};

// Text of the client's choosing, kept with the request; identifiers may be written as numbers.
Result<std::string_view> read_id(od::value value, std::string_view name, Arena& arena,
                                 std::size_t most = kMaxId) {
  std::int64_t number = 0;
  if (value.get_int64().get(number) == simdjson::SUCCESS) {
    return arena.copy(std::to_string(number));
  }
  SLUICE_TRY(const auto text, read_string(value, name));
  if (text.size() > most) {
    return invalid("too_long",
                   "'" + std::string(name) + "' has more than " + std::to_string(most) + " bytes");
  }
  return arena.copy(text);
}

class Decoder {
 public:
  Decoder(const Signature& signature, bool strict, Request& out)
      : signature_(signature), strict_(strict), out_(out) {
    if (signature.fetched != nullptr) entities_.emplace(signature.fetched, out.arena);
  }

  Result<void> run(std::string_view body) {
    SLUICE_CHECK(read_document(
        body, "the key 'features'",
        [&](std::string_view key, od::value value) { return read_field(key, value); }));
    return finish();
  }

 private:
  Result<void> read_field(std::string_view key, od::value value) {
    const auto known = std::ranges::find(kKeys, key) - kKeys.begin();
    if (known == kKeyCount) return unknown(key, value);
    seen_ |= 1U << known;
    switch (static_cast<Key>(known)) {
      case kFeatures: return read_values(value);
      case kUserId: return read_user(value, key);
      case kEntityId:
        if (entities_) return entities_->read_entities(value);
        return store(read_id(value, key, out_.arena), out_.entity_id);
      case kCacheKey: return store(read_id(value, key, out_.arena), out_.cache_key);
      case kRequestId: return store(read_id(value, key, out_.arena), out_.request_id);
      case kTrueLabel: return read_label(value, key);
      case kDebug: return store(read_bool(value, key), out_.debug);
      case kExplain: return store(read_bool(value, key), out_.explain);
      case kKeyCount: break;
    }
    return {};
  }

  Result<void> read_values(od::value value) {
    if (!entities_) return read_features(value, signature_, out_);
    SLUICE_TRY(const bool read, entities_->read_features(value));
    if (read) return {};
    all_sent_ = true;
    return read_features(value, signature_, out_);
  }

  // A number, or the name of a class.
  Result<void> read_label(od::value value, std::string_view key) {
    std::string_view name;
    if (value.get_string().get(name) != simdjson::SUCCESS) {
      return store(read_double(value, key), out_.true_label);
    }
    const auto& names = signature_.class_names;
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) {
      return invalid(
          "bad_label",
          "'true_label' is '" + printable(name) + "', which is no class of the model" +
              (names.empty() ? "; its classes have no names" : ": they are " + name_list(names)));
    }
    out_.true_label = static_cast<double>(found - names.begin());
    return {};
  }

  Result<void> read_user(od::value value, std::string_view key) {
    SLUICE_TRY(const auto user, read_id(value, key, out_.arena, 256));
    return set_user(out_, user);
  }

  template <class T, class M>
  Result<void> store(Result<T> value, M& to) {
    if (!value) return Failure(std::move(value).error());
    to = *value;
    return {};
  }

  Result<void> unknown(std::string_view key, od::value value) {
    // A copy: the parser may reuse its string buffer while the value is visited.
    const std::string name(key.substr(0, 256));
    if (unknown_.size() >= kMaxKeys) {
      return invalid("too_many_keys", "the body has more than 256 unknown keys");
    }
    SLUICE_CHECK(visit(value, 1));
    const std::string hint = did_you_mean(name, kKeys);
    if (strict_) {
      return invalid("unknown_key", "unknown key '" + printable(name) + "'" + hint);
    }
    out_.warnings.push_back("unknown key '" + printable(name) + "' was ignored" + hint);
    unknown_.push_back(name);
    return {};
  }

  Result<void> finish() {
    if (entities_ && entities_->named()) out_.entity_id = entities_->name();
    // Nothing is to be fetched where every column was sent, in order.
    if (entities_ && !all_sent_ && (entities_->named() || entities_->sent())) {
      out_.rebind = nullptr;  // versions take what was fetched, and not the body
      return entities_->finish(out_);
    }
    if ((seen_ & (1U << kFeatures)) != 0) return {};
    if (!out_.entity_id.empty()) {
      return invalid("missing_features",
                     "'features' is missing, and the model names no features that could be "
                     "fetched for 'entity_id'");
    }
    std::string message = entities_ ? "send {\"entity_id\": \"...\"} or {\"features\": [...]}"
                                    : "'features' is missing: send {\"features\": [...]}";
    for (const auto& name : unknown_) {
      const std::array<std::string_view, 1> wanted = {"features"};
      if (nearest(name, wanted)) message += "; '" + printable(name) + "' is not a known key";
    }
    return invalid("missing_features", std::move(message));
  }

  const Signature& signature_;
  const bool strict_;
  Request& out_;
  unsigned seen_ = 0;
  std::vector<std::string> unknown_;
  std::optional<EntityReader> entities_;  // where features are fetched
  bool all_sent_ = false;                 // as a list, in the order of the columns
};

// Reads only the features again, for the signature of another version.
Result<void> rebind_features(Request& request, const Signature& signature) {
  od::document document;
  const simdjson::padded_string_view padded(request.body.data(), request.body.size(),
                                            request.body.size() + kJsonPadding);
  od::value features;
  if (thread_parser().iterate(padded).get(document) ||
      document.find_field_unordered("features").get(features)) {
    return internal("the request could not be read a second time");
  }
  return read_features(features, signature, request);
}

void write_value(JsonWriter& json, double value, bool single_precision) {
  if (single_precision) {
    json.value(static_cast<float>(value));
  } else {
    json.value(value);
  }
}

// One row's value: a number, or an array nested as the model's output is.
void write_row(JsonWriter& json, const Prediction& prediction, std::size_t at, std::size_t level) {
  if (level == prediction.row_shape.rank()) {
    if (prediction.integers == nullptr) {
      write_value(json, prediction.values[at], prediction.single_precision);
    } else if (prediction.integers->dtype == DType::kUint64) {
      json.value(prediction.integers->as<std::uint64_t>()[at]);
    } else if (prediction.integers->dtype == DType::kInt64) {
      json.value(prediction.integers->as<std::int64_t>()[at]);
    }
    return;
  }
  std::size_t stride = 1;
  for (std::size_t i = level + 1; i < prediction.row_shape.rank(); ++i) {
    stride *= static_cast<std::size_t>(prediction.row_shape[i]);
  }
  json.begin_array();
  for (std::int64_t i = 0; i < prediction.row_shape[level]; ++i) {
    write_row(json, prediction, at + static_cast<std::size_t>(i) * stride, level + 1);
  }
  json.end_array();
}

// `write(i)` for the only row, or for each in an array.
template <class Write>
void write_rows(JsonWriter& json, const Request& request, Write write) {
  if (!request.many_rows) {
    write(0);
    return;
  }
  json.begin_array();
  for (std::size_t i = 0; i < request.reply.prediction.rows; ++i) write(i);
  json.end_array();
}

void write_warnings(JsonWriter& json, const Request& request) {
  if (request.warnings.empty() && !request.reply.prediction.not_finite) return;
  json.key("warnings").begin_array();
  for (const auto& warning : request.warnings) json.value(std::string_view(warning));
  if (request.reply.prediction.not_finite) {
    json.value("the model's output is not finite and is shown as null");
  }
  json.end_array();
}

}  // namespace

std::size_t json_padding() { return kJsonPadding; }

Result<void> decode_simple_json(std::string_view body, const Signature& signature, bool strict,
                                Request& out) {
  out.body = body;
  out.rebind = rebind_features;
  SLUICE_CHECK(Decoder(signature, strict, out).run(body));
  out.bound_to = signature.fingerprint;
  out.may_split_rows = true;
  return {};
}

void encode_simple_json(const Request& request, std::string_view model, std::string_view version,
                        std::string& out) {
  const Prediction& prediction = request.reply.prediction;
  JsonWriter json(out);
  json.begin_object().key("prediction");
  const std::size_t width = prediction.width();
  write_rows(json, request, [&](std::size_t row) { write_row(json, prediction, row * width, 0); });
  json.key("confidence");
  write_rows(json, request, [&](std::size_t row) {
    write_value(json, prediction.confidences[row], prediction.single_precision);
  });
  json.field("model", model).field("model_version", version);
  json.field("request_id", request.request_id);
  if (!prediction.labels.empty()) {
    json.key("label");
    write_rows(json, request, [&](std::size_t row) { json.value(prediction.labels[row]); });
  }
  write_asides(request, json);
  write_warnings(json, request);
  json.end_object();
}

void encode_simple_error(const Error& error, std::string& out) {
  JsonWriter json(out);
  json.begin_object().key("error").begin_object();
  json.field("code", error.reason).field("message", std::string_view(error.message));
  json.key("details").begin_array();
  for (const auto& detail : error.details) {
    json.begin_object();
    json.field("feature", std::string_view(detail.feature)).field("value", detail.value);
    json.key("bounds").begin_array();
    for (const auto& bound : {detail.low, detail.high}) bound ? json.value(*bound) : json.null();
    json.end_array();
    json.field("problem", std::string_view(detail.problem));
    json.end_object();
  }
  json.end_array().end_object().end_object();
}

}  // namespace sluice::codecs
