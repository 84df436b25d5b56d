#include "frontends/grpc_oip.h"

#include <deque>
#include <memory>
#include <mutex>
#include <optional>

#include "codecs/oip_proto.h"
#include "frontends/grpc_unary.h"
#include "frontends/oip_answers.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

using transport::GrpcCallPtr;

const std::string kService = "/inference.GRPCInferenceService/";

// Aims and reads one request; `message` outlives it.
Result<void> decode(const Parts& parts, transport::GrpcCall& call, std::string_view message,
                    const codecs::OipTarget& target, Request& request) {
  request.deadline = call.deadline();
  request.cancelled = &call.cancelled();
  request.turn = &call.turn();
  if (const auto user = call.head().find("x-user-id"); user && user->size() <= 128) {
    request.user_id = *user;
  }
  if (target.model.empty()) return invalid("invalid_name", "the request names no model");
  SLUICE_CHECK(check_name(target.model, "model"));
  SLUICE_CHECK(check_name(target.version, "version"));
  SLUICE_CHECK(parts.pipeline.aim(request, target.model, target.version));
  return codecs::decode_oip_proto(message, request.servable->signature(), parts.shared_memory,
                                  request);
}

// The response, or why there is none.
Result<std::string> encode(Request& request) {
  if (request.reply.error) return Failure(std::move(*request.reply.error));
  return codecs::encode_oip_proto(request);
}

void infer(const Parts& parts, const GrpcCallPtr& call, std::string_view message) {
  const auto target = codecs::read_oip_target(message);
  if (!target) return end_call(call, target.error());
  auto request = parts.pipeline.new_request();
  // The call holds the message, which the request's inputs may view.
  request->on_done = [call](Request* done) {
    auto response = encode(*done);
    if (!response) return end_call(call, response.error());
    call->reply(std::move(*response));
  };
  if (auto decoded = decode(parts, *call, message, *target, *request); !decoded) {
    return finish(std::move(request), std::move(decoded).error());
  }
  parts.pipeline.submit(std::move(request));
}

// Answers in the order of the requests, whatever order they are done in, and ends the call when the
// client has said all and heard all. An error is told in its response; the stream goes on.
//
// Thread-safety: requests come on the I/O thread, answers on any.
class AnswerQueue {
 public:
  explicit AnswerQueue(GrpcCallPtr call) : call_(std::move(call)) {}

  // The place of the next answer.
  std::size_t open() {
    const std::lock_guard lock(mutex_);
    waiting_.emplace_back();
    return first_ + waiting_.size() - 1;
  }

  void fill(std::size_t place, std::string answer) {
    const std::lock_guard lock(mutex_);
    waiting_[place - first_] = std::move(answer);
    send_ready();
  }

  void close() { end(Code::kOk, {}); }
  // What was asked for is still answered.
  void drain() { end(Code::kUnavailable, "the server is shutting down; open another stream"); }

 private:
  void send_ready() {
    while (!waiting_.empty() && waiting_.front()) {
      call_->send(std::move(*waiting_.front()));
      waiting_.pop_front();
      ++first_;
    }
    if (closed_ && waiting_.empty()) call_->finish(code_, why_);
  }

  void end(Code code, std::string why) {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    code_ = code;
    why_ = std::move(why);
    send_ready();
  }

  GrpcCallPtr call_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<std::optional<std::string>> waiting_;
  std::size_t first_ = 0;
  bool closed_ = false;
  Code code_ = Code::kOk;
  std::string why_;
};

class InferStream final : public transport::GrpcStream {
 public:
  InferStream(const Parts& parts, GrpcCallPtr call)
      : parts_(parts), call_(call), answers_(std::make_shared<AnswerQueue>(std::move(call))) {}

  void on_message(std::string message) override {
    const auto place = answers_->open();
    const auto kept = std::make_shared<const std::string>(std::move(message));
    const auto target = codecs::read_oip_target(*kept);
    if (!target) {
      return answers_->fill(place, codecs::encode_oip_stream_error(target.error().message, {}));
    }
    auto request = parts_.pipeline.new_request();
    request->on_done = [answers = answers_, place, kept, target = *target](Request* done) {
      const auto response = encode(*done);
      answers->fill(place, response
                               ? codecs::encode_oip_stream(*response)
                               : codecs::encode_oip_stream_error(response.error().message, target));
    };
    if (auto decoded = decode(parts_, *call_, *kept, *target, *request); !decoded) {
      return finish(std::move(request), std::move(decoded).error());
    }
    parts_.pipeline.submit(std::move(request));
  }
  void on_half_close() override { answers_->close(); }
  void on_cancel() override {}
  void on_drain() override { answers_->drain(); }

 private:
  const Parts parts_;
  GrpcCallPtr call_;
  std::shared_ptr<AnswerQueue> answers_;
};

void add_readiness(transport::GrpcMethods& methods, const Parts& parts) {
  add_unary<inference::ServerLiveRequest>(methods, parts, kService + "ServerLive",
                                          [](const auto&) -> Result<inference::ServerLiveResponse> {
                                            inference::ServerLiveResponse out;
                                            out.set_live(true);
                                            return out;
                                          });
  add_unary<inference::ServerReadyRequest>(
      methods, parts, kService + "ServerReady",
      [parts](const auto&) -> Result<inference::ServerReadyResponse> {
        inference::ServerReadyResponse out;
        out.set_ready(server_ready(parts.tables));
        return out;
      });
  add_unary<inference::ModelReadyRequest>(
      methods, parts, kService + "ModelReady",
      [parts](const auto& in) -> Result<inference::ModelReadyResponse> {
        const auto servable = find_servable(parts, in.name(), in.version());
        if (!servable && servable.error().code != Code::kUnavailable) {
          return Failure(servable.error());
        }
        inference::ModelReadyResponse out;
        out.set_ready(servable.has_value());
        return out;
      });
}

}  // namespace

void add_grpc_oip(transport::GrpcMethods& methods, const Parts& parts) {
  add_method(
      methods, parts, kService + "ModelInfer",
      [parts](const GrpcCallPtr& call, std::string_view message) { infer(parts, call, message); });
  methods.add(kService + "ModelStreamInfer", {nullptr, [parts](GrpcCallPtr call) {
                                                return std::make_unique<InferStream>(
                                                    parts, std::move(call));
                                              }});
  add_readiness(methods, parts);
  add_unary<inference::ServerMetadataRequest>(
      methods, parts, kService + "ServerMetadata",
      [parts](const auto&) -> Result<inference::ServerMetadataResponse> {
        return server_metadata(parts);
      });
  add_unary<inference::ModelMetadataRequest>(
      methods, parts, kService + "ModelMetadata",
      [parts](const auto& in) { return model_metadata(parts, in.name(), in.version()); });
  add_unary<inference::ModelConfigRequest>(
      methods, parts, kService + "ModelConfig",
      [parts](const auto& in) -> Result<inference::ModelConfigResponse> {
        SLUICE_TRY(auto config, model_config(parts, in.name(), in.version()));
        inference::ModelConfigResponse out;
        *out.mutable_config() = std::move(config);
        return out;
      });
  add_unary<inference::ModelStatisticsRequest>(
      methods, parts, kService + "ModelStatistics",
      [parts](const auto& in) { return model_statistics(parts, in.name(), in.version()); });
  add_grpc_oip_control(methods, parts);
}

}  // namespace sluice::frontends
