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

void predict(const Pipeline& pipeline, const GrpcCallPtr& call, std::string_view bytes) {
  auto parsed = codecs::parse_simple_proto(bytes);
  if (!parsed) return call->finish(parsed.error().code, parsed.error().message);
  const codecs::SimpleProtoMessage& message = **parsed;
  auto request = pipeline.new_request();
  request->deadline = call->deadline();
  request->cancelled = &call->cancelled();
  request->turn = &call->turn();
  request->wants_prediction = true;
  const auto user = call->head().find("x-user-id");
  // The message is viewed by the request's inputs, so it lives as long as the continuation.
  request->on_done = [call, kept = std::move(*parsed)](Request* done) { answer(call, *done); };
  const auto decode = [&]() -> Result<void> {
    SLUICE_CHECK(check_name(message.model(), "model"));
    SLUICE_CHECK(check_name(message.version(), "version"));
    SLUICE_CHECK(pipeline.aim(*request, message.model(), message.version()));
    SLUICE_CHECK(codecs::decode_simple_proto(message, request->servable->signature(), *request));
    return {};
  };
  if (auto decoded = decode(); !decoded) {
    return finish(std::move(request), std::move(decoded).error());
  }
  if (request->user_id.empty() && user && user->size() <= 128) request->user_id = *user;
  if (request->request_id.empty()) request->request_id = new_request_id(request->arena);
  pipeline.submit(std::move(request));
}

}  // namespace

void add_grpc_simple(transport::GrpcMethods& methods, const Parts& parts) {
  methods.add("/PredictionService/Predict",
              {[&pipeline = parts.pipeline](const GrpcCallPtr& call, std::string_view message) {
                 predict(pipeline, call, message);
               },
               nullptr});
}

}  // namespace sluice::frontends
