#include "frontends/rest_oip.h"

#include <algorithm>
#include <optional>

#include "base/json_writer.h"
#include "base/text.h"
#include "codecs/oip_json.h"
#include "codecs/proto_json.h"
#include "frontends/oip_answers.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

using transport::ExchangePtr;
using transport::Response;

constexpr std::string_view kHeaderLength = "inference-header-content-length";

// The JSON's length, or nothing where the whole body is JSON.
Result<std::optional<std::size_t>> header_length(const transport::RequestHead& head) {
  const auto text = head.find(kHeaderLength);
  if (!text) return std::nullopt;
  const auto times = std::ranges::count_if(head.headers, [](const transport::Header& each) {
    return iequals(each.name, kHeaderLength);
  });
  const auto length = parse_uint(trim(*text));
  if (times == 1 && length) return static_cast<std::size_t>(*length);
  return invalid("bad_header",
                 "Inference-Header-Content-Length must be one whole number: the bytes of JSON at "
                 "the body's beginning");
}

Result<void> decode(const clients::SharedMemory& shared_memory, const transport::Exchange& exchange,
                    Request& request) {
  request.request_id = {};  // the protocol has an id of its own
  SLUICE_TRY(const auto length, header_length(exchange.head()));
  return codecs::decode_oip_json(exchange.body(), length, request.servable->signature(),
                                 shared_memory, request);
}

void answer(const ExchangePtr& exchange, Request& request) {
  if (request.reply.error) return exchange->respond(plain_error(*request.reply.error));
  Response response;
  response.body.reserve(256);
  const auto length = codecs::encode_oip_json(request, response.body);
  if (!length) return exchange->respond(plain_error(length.error()));
  if (*length) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(**length));
  }
  exchange->respond(std::move(response));
}

void infer(const Parts& parts, const ExchangePtr& exchange) {
  auto request = parts.pipeline.new_request();
  request->protocol = Protocol::kOipRest;
  request->on_done = [exchange](Request* done) { answer(exchange, *done); };
  enter_rest(parts, *exchange, std::move(request),
             [memory = &parts.shared_memory, from = exchange.get()](Request& to) {
               return decode(*memory, *from, to);
             });
}

// A status with one word about it; clients look at the status.
void tell(const ExchangePtr& exchange, std::string_view key, bool yes) {
  Response response;
  response.status = yes ? 200 : 503;
  JsonWriter(response.body).begin_object().field(key, yes).end_object();
  exchange->respond(std::move(response));
}

void tell_model_ready(const Parts& parts, const ExchangePtr& exchange) {
  const auto& names = exchange->admission().parameters;
  const auto servable = find_servable(parts, names[0], names[1]);
  // What is loaded for whoever asks is ready to be asked.
  if (!servable && servable.error().reason != "cold") {
    return exchange->respond(plain_error(servable.error()));
  }
  Response response;
  JsonWriter(response.body)
      .begin_object()
      .field("name", names[0])
      .field("ready", true)
      .end_object();
  exchange->respond(std::move(response));
}

template <class Message>
void print(const ExchangePtr& exchange, const Result<Message>& message) {
  if (!message) return exchange->respond(plain_error(message.error()));
  Response response;
  JsonWriter json(response.body);
  codecs::write_proto_json(*message, json);
  exchange->respond(std::move(response));
}

}  // namespace

void add_rest_oip(Router& router, const Parts& parts) {
  const auto serve_infer = [parts](const ExchangePtr& exchange) { infer(parts, exchange); };
  router.serve("POST", "/v2/models/{}/infer", serve_infer);
  router.serve("POST", "/v2/models/{}/versions/{}/infer", serve_infer);

  router.serve("GET", "/v2/health/live",
               [](const ExchangePtr& exchange) { tell(exchange, "live", true); });
  router.serve("GET", "/v2/health/ready", [parts](const ExchangePtr& exchange) {
    tell(exchange, "ready", server_ready(parts.tables));
  });
  const auto serve_ready = [parts](const ExchangePtr& exchange) {
    tell_model_ready(parts, exchange);
  };
  router.serve("GET", "/v2/models/{}/ready", serve_ready);
  router.serve("GET", "/v2/models/{}/versions/{}/ready", serve_ready);

  router.serve("GET", "/v2", [parts](const ExchangePtr& exchange) {
    print<inference::ServerMetadataResponse>(exchange, server_metadata(parts));
  });
  // `make` answers a message about the model and version in the path.
  const auto about = [parts](auto make) {
    return [parts, make](const ExchangePtr& exchange) {
      const auto& names = exchange->admission().parameters;
      print(exchange, make(parts, names[0], names[1]));
    };
  };
  // The same where the version must be there; a lazy one is loaded for it.
  const auto about_loaded = [parts](auto make) {
    return [parts, make](const ExchangePtr& exchange) {
      const auto& names = exchange->admission().parameters;
      when_loaded(parts, names[0], names[1], TimePoint::max(), exchange->turn(),
                  [parts, make, exchange](const Result<void>& loaded) {
                    if (!loaded) return exchange->respond(plain_error(loaded.error()));
                    const auto& same = exchange->admission().parameters;
                    print(exchange, make(parts, same[0], same[1]));
                  });
    };
  };
  router.serve("GET", "/v2/models/{}", about_loaded(model_metadata));
  router.serve("GET", "/v2/models/{}/versions/{}", about_loaded(model_metadata));
  router.serve("GET", "/v2/models/{}/config", about_loaded(model_config));
  router.serve("GET", "/v2/models/{}/versions/{}/config", about_loaded(model_config));
  router.serve("GET", "/v2/models/stats", about(model_statistics));
  router.serve("GET", "/v2/models/{}/stats", about(model_statistics));
  router.serve("GET", "/v2/models/{}/versions/{}/stats", about(model_statistics));
  add_rest_oip_control(router, parts);
}

}  // namespace sluice::frontends
