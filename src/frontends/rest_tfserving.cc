#include "frontends/rest_tfserving.h"

#include "base/json_writer.h"
#include "base/text.h"
#include "codecs/tfserving_json.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

using transport::ExchangePtr;
using transport::Response;

void answer(const ExchangePtr& exchange, const Request& request) {
  if (request.reply.error) return exchange->respond(plain_error(*request.reply.error));
  Response response;
  const auto encoded = codecs::encode_tfserving_json(request, response.body);
  exchange->respond(encoded ? std::move(response) : plain_error(encoded.error()));
}

void predict(const Parts& parts, const ExchangePtr& exchange) {
  auto request = parts.pipeline.new_request();
  request->protocol = Protocol::kTfServing;
  request->on_done = [exchange](Request* done) { answer(exchange, *done); };
  enter_rest(parts, *exchange, std::move(request), [from = exchange.get()](Request& to) {
    return codecs::decode_tfserving_json(from->body(), to.servable->signature(), to);
  });
}

std::string_view state_name(VersionState state) {
  switch (state) {
    case VersionState::kLoading: return "LOADING";
    case VersionState::kReady: return "AVAILABLE";
    case VersionState::kFailed:
    case VersionState::kUnloaded: break;
  }
  return "END";
}

void write_version(const VersionEntry& version, JsonWriter& json) {
  json.begin_object().field("version", std::string_view(version.name.str()));
  json.field("state", state_name(version.state)).key("status").begin_object();
  json.field("error_code", version.state == VersionState::kFailed ? "UNKNOWN" : "OK");
  json.field("error_message", std::string_view(version.reason));
  json.end_object().end_object();
}

Result<const ModelEntry*> find_model(const ServingTable& table, const ExchangePtr& exchange) {
  const auto& names = exchange->admission().parameters;
  SLUICE_CHECK(check_name(names[0], "model"));
  SLUICE_CHECK(check_name(names[1], "version"));
  const ModelEntry* entry = table.find(names[0]);
  if (entry == nullptr) {
    return not_found("unknown_model", "there is no model '" + printable(names[0]) + "'");
  }
  if (!names[1].empty() && entry->find(names[1]) == nullptr) {
    return not_found("unknown_version", "model '" + entry->name.str() + "' has no version '" +
                                            printable(names[1]) + "'");
  }
  return entry;
}

// KServe's answer and TensorFlow Serving's together: each client finds its own keys.
void status(const ServingTables& tables, const ExchangePtr& exchange) {
  const auto table = tables.get();
  const auto entry = find_model(*table, exchange);
  if (!entry) return exchange->respond(plain_error(entry.error()));
  const auto wanted = exchange->admission().parameters[1];
  bool ready = false;
  Response response;
  JsonWriter json(response.body);
  json.begin_object().field("name", std::string_view((*entry)->name.str()));
  json.key("model_version_status").begin_array();
  for (const auto& version : (*entry)->versions) {
    if (!wanted.empty() && version.name.str() != wanted) continue;
    ready = ready || version.state == VersionState::kReady || version.cold;
    write_version(version, json);
  }
  json.end_array().field("ready", ready).end_object();
  exchange->respond(std::move(response));
}

void list(const ServingTables& tables, const ExchangePtr& exchange) {
  const auto table = tables.get();
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("models").begin_array();
  for (const auto& [name, entry] : table->models) json.value(std::string_view(name));
  json.end_array().end_object();
  exchange->respond(std::move(response));
}

// TensorFlow's names of types.
std::string_view tf_type(DType dtype) {
  switch (dtype) {
    case DType::kBool: return "DT_BOOL";
    case DType::kUint8: return "DT_UINT8";
    case DType::kUint16: return "DT_UINT16";
    case DType::kUint32: return "DT_UINT32";
    case DType::kUint64: return "DT_UINT64";
    case DType::kInt8: return "DT_INT8";
    case DType::kInt16: return "DT_INT16";
    case DType::kInt32: return "DT_INT32";
    case DType::kInt64: return "DT_INT64";
    case DType::kFloat16: return "DT_HALF";
    case DType::kBFloat16: return "DT_BFLOAT16";
    case DType::kFloat32: return "DT_FLOAT";
    case DType::kFloat64: return "DT_DOUBLE";
    case DType::kString: return "DT_STRING";
  }
  return "DT_INVALID";
}

void write_tensors(const std::vector<TensorSpec>& specs, JsonWriter& json) {
  json.begin_object();
  for (const auto& spec : specs) {
    json.key(spec.name).begin_object();
    json.field("dtype", tf_type(spec.dtype)).key("tensor_shape").begin_object();
    json.key("dim").begin_array();
    for (const auto dim : spec.dims) {
      // 64-bit numbers are texts in protobuf's JSON, which this is.
      json.begin_object().field("size", std::string_view(std::to_string(dim)));
      json.field("name", "").end_object();
    }
    json.end_array().field("unknown_rank", false).end_object();
    json.field("name", std::string_view(spec.name)).end_object();
  }
  json.end_object();
}

void tell_metadata(const ExchangePtr& exchange, const Servable& servable) {
  Response response;
  JsonWriter json(response.body);
  json.begin_object().key("model_spec").begin_object();
  json.field("name", std::string_view(servable.model().str())).field("signature_name", "");
  json.field("version", std::string_view(servable.version().str())).end_object();
  json.key("metadata").begin_object().key("signature_def").begin_object();
  json.key("signature_def").begin_object().key("serving_default").begin_object();
  json.key("inputs");
  write_tensors(servable.signature().inputs, json);
  json.key("outputs");
  write_tensors(servable.signature().outputs, json);
  json.field("method_name", "tensorflow/serving/predict");
  for (int i = 0; i < 5; ++i) json.end_object();
  exchange->respond(std::move(response));
}

void metadata(const Parts& parts, const ExchangePtr& exchange) {
  const auto table = parts.tables.get();
  const auto entry = find_model(*table, exchange);
  if (!entry) return exchange->respond(plain_error(entry.error()));
  const auto& names = exchange->admission().parameters;
  parts.pipeline.find_or_load(names[0], names[1], TimePoint::max(), &exchange->turn(),
                              [exchange](const auto& servable) {
                                if (servable) return tell_metadata(exchange, **servable);
                                exchange->respond(plain_error(servable.error()));
                              });
}

}  // namespace

void add_rest_tfserving(Router& router, const Parts& parts) {
  const auto serve_predict = [parts](const ExchangePtr& exchange) { predict(parts, exchange); };
  router.serve("POST", "/v1/models/{}:predict", serve_predict);
  router.serve("POST", "/v1/models/{}/versions/{}:predict", serve_predict);
  const auto serve_status = [parts](const ExchangePtr& exchange) {
    status(parts.tables, exchange);
  };
  router.serve("GET", "/v1/models/{}", serve_status);
  router.serve("GET", "/v1/models/{}/versions/{}", serve_status);
  const auto serve_metadata = [parts](const ExchangePtr& exchange) { metadata(parts, exchange); };
  router.serve("GET", "/v1/models/{}/metadata", serve_metadata);
  router.serve("GET", "/v1/models/{}/versions/{}/metadata", serve_metadata);
  router.serve("GET", "/v1/models",
               [parts](const ExchangePtr& exchange) { list(parts.tables, exchange); });
}

}  // namespace sluice::frontends
