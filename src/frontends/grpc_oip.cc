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

// Sends one request on its way; `message` outlives its continuation.
void enter(const Parts& parts, transport::GrpcCall& call, std::string_view message,
           const codecs::OipTarget& target, RequestPtr request) {
  request->protocol = Protocol::kOipGrpc;
  request->deadline = call.deadline();
  request->cancelled = &call.cancelled();
  request->turn = &call.turn();
  begin_trace(call.head(), parts.watch.tracer, *request);
  Result<void> names = read_user(call.head(), *request);
  if (names && target.model.empty()) names = invalid("invalid_name", "the request names no model");
  if (names) names = check_name(target.model, "model");
  if (names) names = check_name(target.version, "version");
  if (!names) return finish(std::move(request), std::move(names).error());
  const auto version = asked_version(call.head(), target.version, *parts.settings.read());
  if (!version) return finish(std::move(request), version.error());
  parts.pipeline.enter(std::move(request), target.model, *version,
                       [message, memory = &parts.shared_memory](Request& to) {
                         return codecs::decode_oip_proto(message, to.servable->signature(), *memory,
                                                         to);
                       });
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
  enter(parts, *call, message, *target, std::move(request));
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
    enter(parts_, *call_, *kept, *target, std::move(request));
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
        // What is loaded for whoever asks is ready to be asked.
        out.set_ready(servable.has_value() || servable.error().reason == "cold");
        return out;
      });
}

// A call about a version that must be there; a lazy one is loaded for it.
template <class In, class Make>
void add_loaded(transport::GrpcMethods& methods, const Parts& parts, std::string_view name,
                Make make) {
  add_parsed<In>(methods, parts, kService + std::string(name),
                 [parts, make](const GrpcCallPtr& call, const In& in) {
                   when_loaded(parts, in.name(), in.version(), call->deadline(), call->turn(),
                               [make, call, in](const Result<void>& loaded) {
                                 if (!loaded) return end_call(call, loaded.error());
                                 const auto out = make(in);
                                 if (!out) return end_call(call, out.error());
                                 call->reply(out->SerializeAsString());
                               });
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
  add_loaded<inference::ModelMetadataRequest>(
      methods, parts, "ModelMetadata",
      [parts](const auto& in) { return model_metadata(parts, in.name(), in.version()); });
  add_loaded<inference::ModelConfigRequest>(
      methods, parts, "ModelConfig",
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
