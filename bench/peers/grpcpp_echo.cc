// Peer: the least that a grpc++ server can do, a unary echo on the callback API with grpc++'s own
// choice of threads. It decodes and encodes our messages and runs no model.

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <memory>

#include "prediction.grpc.pb.h"

namespace {

class Echo final : public PredictionService::CallbackService {
  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const PredictRequest* request,
                                    PredictResponse* response) override {
    response->set_prediction(static_cast<float>(request->features_size()));
    response->set_confidence(1.0F);
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

}  // namespace

int main() {
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    std::fputs("bench_grpcpp_echo: cannot listen on 127.0.0.1\n", stderr);
    return 1;
  }
  std::printf("listening  grpc 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
}
