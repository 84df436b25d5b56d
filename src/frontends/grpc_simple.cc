#include "frontends/grpc_simple.h"

#include "codecs/simple_proto.h"
#include "frontends/grpc_errors.h"
#include "frontends/request_id.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

using serving::Pipeline;
using transport::GrpcCallPtr;

void answer(const GrpcCallPtr& call, const Request& request) {
  if (request.reply.error) {
    return call->finish(grpc_code(*request.reply.error), request.reply.error->message);
  }
  call->reply(codecs::encode_simple_proto(request, request.servable->model().str(),
                                          request.servable->version().str()));
}

Result<void> decode(const codecs::SimpleProtoMessage& message, const transport::RequestHead& head,
                    Request& request) {
  SLUICE_CHECK(codecs::decode_simple_proto(message, request.servable->signature(), request));
  if (request.user_id.empty()) SLUICE_CHECK(read_user(head, request));
  if (request.request_id.empty()) request.request_id = new_request_id(request.arena);
  return {};
}

void predict(const Parts& parts, const GrpcCallPtr& call, std::string_view bytes) {
  auto parsed = codecs::parse_simple_proto(bytes);
  if (!parsed) return call->finish(parsed.error().code, parsed.error().message);
  const codecs::SimpleProtoMessage& message = **parsed;
  auto request = parts.pipeline.new_request();
  request->deadline = call->deadline();
  request->cancelled = &call->cancelled();
  request->turn = &call->turn();
  request->wants_prediction = true;
  request->protocol = Protocol::kSimpleGrpc;
  // The message is viewed by the request's inputs, so it lives as long as the continuation.
  request->on_done = [call, kept = std::move(*parsed)](Request* done) { answer(call, *done); };
  begin_trace(call->head(), parts.watch.tracer, *request);
  auto names = check_name(message.model(), "model");
  if (names) names = check_name(message.version(), "version");
  if (!names) return finish(std::move(request), std::move(names).error());
  const auto version = asked_version(call->head(), message.version(), *parts.settings.read());
  if (!version) return finish(std::move(request), version.error());
  parts.pipeline.enter(
      std::move(request), message.model(), *version,
      [&message, head = &call->head()](Request& to) { return decode(message, *head, to); });
}

}  // namespace

void add_grpc_simple(transport::GrpcMethods& methods, const Parts& parts) {
  methods.add("/PredictionService/Predict",
              {[parts](const GrpcCallPtr& call, std::string_view message) {
                 predict(parts, call, message);
               },
               nullptr});
}

}  // namespace sluice::frontends
