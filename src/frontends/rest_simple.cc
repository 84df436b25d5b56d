#include "frontends/rest_simple.h"

#include "base/json_writer.h"
#include "base/text.h"
#include "codecs/simple_json.h"
#include "frontends/request_id.h"

namespace sluice::frontends {
namespace {

using serving::Pipeline;
using transport::ExchangePtr;
using transport::Response;

// A name that cannot be a name is told apart from one that does not exist.
Result<void> check_name(std::string_view name, std::string_view what) {
  if (name.empty() || is_token(name)) return {};
  return invalid("invalid_name", std::string(what) +
                                     " name is not valid: use up to 128 letters, digits, '.', "
                                     "'_' or '-', beginning with a letter or digit");
}

Result<TimePoint> read_deadline(const transport::RequestHead& head, TimePoint arrived) {
  const auto text = head.find("x-request-timeout-ms");
  if (!text) return TimePoint::max();
  const auto millis = parse_uint(trim(*text));
  constexpr std::uint64_t kLongest = 86'400'000;
  if (!millis || *millis > kLongest) {
    return invalid("bad_timeout",
                   "X-Request-Timeout-Ms must be a whole number of milliseconds, at most a day");
  }
  return arrived + std::chrono::milliseconds(static_cast<std::int64_t>(*millis));
}

Result<void> decode(const Pipeline& pipeline, bool strict, transport::Exchange& exchange,
                    Request& request) {
  const auto& head = exchange.head();
  const auto& names = exchange.admission().parameters;
  SLUICE_CHECK(check_name(names[0], "model"));
  SLUICE_CHECK(check_name(names[1], "version"));
  SLUICE_TRY(request.deadline, read_deadline(head, request.arrived));
  SLUICE_CHECK(pipeline.aim(request, names[0], names[1]));
  if (const auto id = head.find("x-request-id"); id && id->size() <= 128) request.request_id = *id;
  if (const auto user = head.find("x-user-id"); user && user->size() <= 128)
    request.user_id = *user;
  SLUICE_CHECK(
      codecs::decode_simple_json(exchange.body(), request.servable->signature(), strict, request));
  if (request.debug || request.explain) {
    request.warnings.emplace_back(
        "'debug' and 'explain' are read but not acted on by this version of Sluice");
  }
  return {};
}

void answer(const ExchangePtr& exchange, const Request& request) {
  if (request.reply.error) return exchange->respond(simple_error(*request.reply.error));
  Response response;
  response.body.reserve(192);
  codecs::encode_simple_json(request, request.servable->model().str(),
                             request.servable->version().str(), response.body);
  exchange->respond(std::move(response));
}

void predict(const Pipeline& pipeline, bool strict, const ExchangePtr& exchange) {
  auto request = make_request();
  request->arrived = std::chrono::steady_clock::now();
  request->wants_prediction = true;
  request->on_done = [exchange](Request* done) { answer(exchange, *done); };
  if (auto decoded = decode(pipeline, strict, *exchange, *request); !decoded) {
    return finish(std::move(request), std::move(decoded).error());
  }
  if (request->request_id.empty()) request->request_id = new_request_id(request->arena);
  pipeline.submit(std::move(request));
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

void add_rest_simple(Router& router, const Pipeline& pipeline, const RestSimpleOptions& options) {
  const auto serve_predict = [&pipeline, strict = options.strict](const ExchangePtr& exchange) {
    predict(pipeline, strict, exchange);
  };
  for (const std::string_view pattern :
       {"/predict", "/models/{}/predict", "/models/{}/versions/{}/predict"}) {
    router.add({"POST", pattern, Surface::kEverywhere, BodyKind::kJson, serve_predict});
  }
  router.add({"GET", "/health", Surface::kEverywhere, BodyKind::kNone,
              [&pipeline](const ExchangePtr& exchange) { health(pipeline, exchange); }});
  router.add({"GET", "/ready", Surface::kEverywhere, BodyKind::kNone,
              [&pipeline](const ExchangePtr& exchange) { ready(pipeline, exchange); }});
}

}  // namespace sluice::frontends
