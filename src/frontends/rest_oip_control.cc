// The calls of the Open Inference Protocol that change something, over REST.
#include <nlohmann/json.hpp>

#include "base/json_writer.h"
#include "base/text.h"
#include "codecs/proto_json.h"
#include "frontends/json_body.h"
#include "frontends/oip_answers.h"
#include "frontends/oip_control.h"
#include "frontends/oip_settings.h"
#include "frontends/rest_oip.h"

namespace sluice::frontends {
namespace {

using json = nlohmann::ordered_json;
using transport::ExchangePtr;
using transport::Response;

// The answer to `work`'s result: nothing but 200, or the error.
void tell(const ExchangePtr& exchange, const Result<void>& result) {
  exchange->respond(result ? Response{} : plain_error(result.error()));
}

// --- repository ---------------------------------------------------------------------------------

void index(const Parts& parts, const ExchangePtr& exchange) {
  const auto body = read_object(*exchange);
  if (!body) return exchange->respond(plain_error(body.error()));
  const auto ready = body->find("ready");
  const bool given = ready != body->end();
  if (given && !ready->is_boolean()) {
    return tell(exchange, invalid("wrong_type", "'ready' must be true or false"));
  }
  const bool only_ready = given && ready->get<bool>();
  Response response;
  JsonWriter writer(response.body);
  writer.begin_array();
  const auto message = repository_index(parts.tables, only_ready);
  for (const auto& model : message.models()) codecs::write_proto_json(model, writer);
  writer.end_array();
  exchange->respond(std::move(response));
}

Result<void> check_load_body(const transport::Exchange& exchange) {
  SLUICE_TRY(const auto body, read_object(exchange));
  const auto parameters = body.find("parameters");
  if (parameters == body.end()) return {};
  if (!parameters->is_object()) return invalid("wrong_type", "'parameters' must be an object");
  for (const auto& [key, value] : parameters->items()) SLUICE_CHECK(check_load_parameter(key));
  return {};
}

using Change = void (*)(const Parts&, std::string_view, repository::Repository::Done);

void change_model(const Parts& parts, const ExchangePtr& exchange, Change change) {
  if (auto ok = check_load_body(*exchange); !ok) return tell(exchange, ok);
  change(parts, exchange->admission().parameters[0],
         [exchange](const Result<void>& result) { tell(exchange, result); });
}

// --- shared memory ------------------------------------------------------------------------------

Result<std::uint64_t> natural(const json& body, const char* key, std::uint64_t otherwise) {
  const auto found = body.find(key);
  if (found == body.end()) return otherwise;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  return invalid("wrong_type", std::string(key) + " must be a whole number of at least 0");
}

Result<void> register_region(const Parts& parts, const transport::Exchange& exchange) {
  SLUICE_TRY(const auto body, read_object(exchange));
  clients::SharedMemory::Region region;
  region.name = exchange.admission().parameters[0];
  const auto key = body.find("key");
  if (key == body.end() || !key->is_string()) return invalid("wrong_type", "key must be a text");
  region.key = key->get<std::string>();
  SLUICE_TRY(region.offset, natural(body, "offset", 0));
  SLUICE_TRY(region.size, natural(body, "byte_size", 0));
  return parts.shared_memory.add(region);
}

void list_regions(const Parts& parts, const ExchangePtr& exchange) {
  const auto regions = parts.shared_memory.list(exchange->admission().parameters[0]);
  if (!regions) return exchange->respond(plain_error(regions.error()));
  Response response;
  JsonWriter writer(response.body);
  writer.begin_array();
  for (const auto& region : *regions) {
    writer.begin_object();
    writer.field("name", std::string_view(region.name)).field("key", std::string_view(region.key));
    writer.field("offset", region.offset).field("byte_size", region.size);
    writer.end_object();
  }
  writer.end_array();
  exchange->respond(std::move(response));
}

// --- settings -----------------------------------------------------------------------------------

std::string text_of(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

Result<observers::TracePatch> read_trace(const transport::Exchange& exchange) {
  SLUICE_TRY(const auto body, read_object(exchange));
  observers::TracePatch out;
  for (const auto& [key, value] : body.items()) {
    auto& values = out[key];
    if (value.is_null()) continue;
    values.emplace();
    if (value.is_array()) {
      for (const auto& item : value) values->push_back(text_of(item));
    } else {
      values->push_back(text_of(value));
    }
  }
  return out;
}

void tell_trace(const Parts& parts, const ExchangePtr& exchange) {
  Response response;
  JsonWriter writer(response.body);
  writer.begin_object();
  for (const auto& [key, values] : parts.trace.view(exchange->admission().parameters[0])) {
    writer.key(key);
    if (key != "trace_level") {
      writer.value(std::string_view(values[0]));
      continue;
    }
    writer.begin_array();
    for (const auto& value : values) writer.value(std::string_view(value));
    writer.end_array();
  }
  writer.end_object();
  exchange->respond(std::move(response));
}

// The model of the path, where there is one, must exist.
Result<void> check_trace_model(const Parts& parts, const ExchangePtr& exchange) {
  const auto model = exchange->admission().parameters[0];
  if (!model.empty()) SLUICE_CHECK(find_servable(parts, model, {}));
  return {};
}

void trace(const Parts& parts, const ExchangePtr& exchange, bool change) {
  if (auto ok = check_trace_model(parts, exchange); !ok) return tell(exchange, ok);
  if (change) {
    const auto patch = read_trace(*exchange);
    if (!patch) return exchange->respond(plain_error(patch.error()));
    auto done = parts.trace.update(exchange->admission().parameters[0], *patch);
    if (!done) return tell(exchange, done);
  }
  tell_trace(parts, exchange);
}

Result<LogSettings> read_log(const transport::Exchange& exchange) {
  SLUICE_TRY(const auto body, read_object(exchange));
  LogSettings out;
  for (const auto& [key, value] : body.items()) {
    if (value.is_boolean()) {
      out[key] = value.get<bool>();
    } else if (value.is_number_unsigned()) {
      out[key] = value.get<std::uint64_t>();
    } else {
      out[key] = text_of(value);
    }
  }
  return out;
}

void logging(const ExchangePtr& exchange, bool change) {
  if (change) {
    const auto wanted = read_log(*exchange);
    if (!wanted) return exchange->respond(plain_error(wanted.error()));
    if (auto done = change_log_settings(*wanted); !done) return tell(exchange, done);
  }
  Response response;
  JsonWriter writer(response.body);
  writer.begin_object();
  for (const auto& [key, value] : log_settings()) {
    writer.key(key);
    std::visit([&](const auto& each) { writer.value(each); }, value);
  }
  writer.end_object();
  exchange->respond(std::move(response));
}

}  // namespace

void add_rest_oip_control(Router& router, const Parts& parts) {
  router.serve("POST", "/v2/repository/index",
               [parts](const ExchangePtr& exchange) { index(parts, exchange); });
  router.serve("POST", "/v2/repository/models/{}/load",
               [parts](const ExchangePtr& exchange) { change_model(parts, exchange, load_model); });
  router.serve("POST", "/v2/repository/models/{}/unload", [parts](const ExchangePtr& exchange) {
    change_model(parts, exchange, unload_model);
  });

  const auto serve_regions = [parts](const ExchangePtr& exchange) {
    list_regions(parts, exchange);
  };
  router.serve("GET", "/v2/systemsharedmemory/status", serve_regions);
  router.serve("GET", "/v2/systemsharedmemory/region/{}/status", serve_regions);
  router.serve(
      "POST", "/v2/systemsharedmemory/region/{}/register",
      [parts](const ExchangePtr& exchange) { tell(exchange, register_region(parts, *exchange)); });
  router.serve("POST", "/v2/systemsharedmemory/region/{}/unregister",
               [parts](const ExchangePtr& exchange) {
                 tell(exchange, parts.shared_memory.remove(exchange->admission().parameters[0]));
               });
  router.serve("POST", "/v2/systemsharedmemory/unregister", [parts](const ExchangePtr& exchange) {
    tell(exchange, parts.shared_memory.remove_all());
  });

  for (const char* path : {"/v2/trace/setting", "/v2/models/{}/trace/setting"}) {
    router.serve("GET", path,
                 [parts](const ExchangePtr& exchange) { trace(parts, exchange, false); });
    router.serve("POST", path,
                 [parts](const ExchangePtr& exchange) { trace(parts, exchange, true); });
  }
  router.serve("GET", "/v2/logging", [](const ExchangePtr& exchange) { logging(exchange, false); });
  router.serve("POST", "/v2/logging", [](const ExchangePtr& exchange) { logging(exchange, true); });
}

}  // namespace sluice::frontends
