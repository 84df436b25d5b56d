// The front end's own limit: Sluice's listeners, framing and codecs, decoding every request and
// encoding an answer of the same form, with no pipeline and no model between them.

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "codecs/simple_json.h"
#include "codecs/simple_proto.h"
#include "core/request.h"
#include "empty_oip.h"
#include "frontends/request_id.h"
#include "frontends/router.h"
#include "transport/grpc.h"
#include "transport/server.h"

namespace {

using namespace sluice;

Signature breast_cancer() {
  Signature out;
  out.inputs.push_back({"features", DType::kFloat32, {-1, 30}, Role::kUnknown});
  out.outputs.push_back({"probabilities", DType::kFloat32, {-1, 2}, Role::kProbabilities});
  return out;
}

const Signature kSignature = breast_cancer();
constexpr double kValue = 1.0;
constexpr double kConfidence = 0.9995571;
constexpr std::string_view kLabel = "benign";

void fill(Request& request) {
  request.request_id = frontends::new_request_id(request.arena);
  auto& prediction = request.reply.prediction;
  prediction.rows = 1;
  prediction.single_precision = true;
  prediction.values = {&kValue, 1};
  prediction.confidences = {&kConfidence, 1};
  prediction.labels = {&kLabel, 1};
}

void serve_rest(const transport::ExchangePtr& exchange) {
  const auto request = std::make_unique<Request>();
  if (auto ok = codecs::decode_simple_json(exchange->body(), kSignature, false, *request); !ok) {
    return exchange->respond(frontends::simple_error(ok.error()));
  }
  fill(*request);
  transport::Response response;
  response.body.reserve(192);
  codecs::encode_simple_json(*request, "breast_cancer", "v1", response.body);
  exchange->respond(std::move(response));
}

void serve_grpc(const transport::GrpcCallPtr& call, std::string_view bytes) {
  const auto message = codecs::parse_simple_proto(bytes);
  if (!message) return call->finish(message.error().code, message.error().message);
  const auto request = std::make_unique<Request>();
  if (auto ok = codecs::decode_simple_proto(**message, kSignature, *request); !ok) {
    return call->finish(ok.error().code, ok.error().message);
  }
  fill(*request);
  call->reply(codecs::encode_simple_proto(*request, "breast_cancer", "v1"));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Sluice's front ends without a model");
  std::string http = "127.0.0.1:0";
  std::string grpc = "127.0.0.1:0";
  app.add_option("--http", http);
  app.add_option("--grpc", grpc);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const frontends::LiveSettings settings(std::make_shared<const frontends::Settings>());
  frontends::Router router({}, settings);
  router.serve("POST", "/models/{}/versions/{}/predict", serve_rest);
  transport::GrpcMethods methods;
  methods.add("/PredictionService/Predict", {serve_grpc, nullptr});
  bench::add_empty_oip(router, methods, kSignature);
  transport::Services services;
  services.http = &router;
  services.grpc = &methods;
  transport::Server server(std::move(services),
                           static_cast<int>(std::thread::hardware_concurrency()));
  const auto rest = server.listen(*transport::parse_address(http), {false, true}, "http");
  const auto rpc = server.listen(*transport::parse_address(grpc), {false, false}, "grpc");
  if (!rest || !rpc) return 69;
  std::printf("listening  http %s  grpc %s\n", rest->show().c_str(), rpc->show().c_str());
  std::fflush(stdout);
  server.start();
  int signal = 0;
  sigwait(&signals, &signal);
  server.drain_and_stop(std::chrono::seconds(2));
  return 0;
}
