#include "frontends/rest_simple.h"

#include "base/json_writer.h"
#include "codecs/simple_json.h"
#include "frontends/request_id.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

using serving::Pipeline;
using transport::ExchangePtr;
using transport::Response;

Result<void> decode(bool strict, const transport::Exchange& exchange, Request& request) {
  SLUICE_CHECK(
      codecs::decode_simple_json(exchange.body(), request.servable->signature(), strict, request));
  if (request.request_id.empty()) request.request_id = new_request_id(request.arena);
  return {};
}

void answer(const ExchangePtr& exchange, const Request& request) {
  if (request.reply.error) return exchange->respond(simple_error(*request.reply.error));
  Response response;
  response.body.reserve(request.ask == nullptr ? 192 : 1024);
  codecs::encode_simple_json(request, request.servable->model().str(),
                             request.servable->version().str(), response.body);
  exchange->respond(std::move(response));
}

void predict(const Parts& parts, const ExchangePtr& exchange) {
  auto request = parts.pipeline.new_request();
  const bool strict = parts.settings.read()->strict;
  request->wants_prediction = true;
  request->protocol = Protocol::kSimpleRest;
  request->on_done = [exchange](Request* done) { answer(exchange, *done); };
  enter_rest(parts, *exchange, std::move(request),
             [strict, from = exchange.get()](Request& to) { return decode(strict, *from, to); });
}

void health(const Pipeline& pipeline, const ExchangePtr& exchange) {
  const bool healthy = pipeline.tables().read()->healthy();
  Response response;
  response.status = healthy ? 200 : 503;
  JsonWriter json(response.body);
  json.begin_object();
  json.field("status", healthy ? "healthy" : "unhealthy").field("model_loaded", healthy);
  json.end_object();
  exchange->respond(std::move(response));
}

void ready(const Pipeline& pipeline, const ExchangePtr& exchange) {
  const auto& table = *pipeline.tables().read();
  const bool is_ready = table.healthy() && !table.draining;
  Response response;
  response.status = is_ready ? 200 : 503;
  JsonWriter(response.body).begin_object().field("ready", is_ready).end_object();
  exchange->respond(std::move(response));
}

}  // namespace

void add_rest_simple(Router& router, const Parts& parts) {
  const Pipeline& pipeline = parts.pipeline;
  const auto serve_predict = [parts](const ExchangePtr& exchange) { predict(parts, exchange); };
  router.serve("POST", "/predict", serve_predict);
  router.serve("POST", "/models/{}/predict", serve_predict);
  router.serve("POST", "/models/{}/versions/{}/predict", serve_predict);
  router.serve("GET", "/health",
               [&pipeline](const ExchangePtr& exchange) { health(pipeline, exchange); });
  router.serve("GET", "/ready",
               [&pipeline](const ExchangePtr& exchange) { ready(pipeline, exchange); });
}

}  // namespace sluice::frontends
