// Google's own grpc++ as a client: `grpcpp HOST:PORT` reads golden rows of iris from standard
// input, one a line: label, confidence, four features.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cmath>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "prediction.grpc.pb.h"

namespace {

using std::chrono::milliseconds;
using Stub = PredictionService::Stub;

int passed = 0;
int failed = 0;

void check(const std::string& what, bool ok, const std::string& detail = "") {
  if (ok) {
    ++passed;
  } else {
    ++failed;
    std::cout << "FAILED " << what << ": " << detail << std::endl;
  }
}

struct Row {
  std::string label;
  double confidence = 0;
  std::vector<float> features;
};

std::vector<Row> read_rows() {
  std::vector<Row> rows;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    Row row;
    words >> row.label >> row.confidence;
    for (float value = 0; words >> value;) row.features.push_back(value);
    rows.push_back(row);
  }
  return rows;
}

PredictRequest request_for(const Row& row, int rows = 1) {
  PredictRequest request;
  request.set_model("iris");
  for (int i = 0; i < rows; ++i) {
    for (const float value : row.features) request.add_features(value);
  }
  if (rows > 1) request.set_rows(static_cast<unsigned>(rows));
  return request;
}

bool right(const grpc::Status& status, const PredictResponse& answer, const Row& row) {
  return status.ok() && answer.label() == row.label &&
         std::abs(answer.confidence() - row.confidence) < 1e-5;
}

std::string show(const grpc::Status& status, const PredictResponse& answer) {
  return std::to_string(status.error_code()) + " " + status.error_message() + " " +
         answer.ShortDebugString().substr(0, 200);
}

struct Outcome {
  grpc::Status status;
  PredictResponse answer;
};

Outcome call(Stub& stub, const PredictRequest& request, milliseconds within = milliseconds(20000),
             grpc_compression_algorithm compression = GRPC_COMPRESS_NONE) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + within);
  context.set_compression_algorithm(compression);
  context.AddMetadata("x-user-id", "u1");
  Outcome out;
  out.status = stub.Predict(&context, request, &out.answer);
  return out;
}

void unary(Stub& stub, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const auto out = call(stub, request_for(row));
    check("golden row", right(out.status, out.answer, row), show(out.status, out.answer));
  }
}

void asynchronous(Stub& stub, const std::vector<Row>& rows) {
  constexpr std::size_t kCalls = 1000;
  struct Call {
    grpc::ClientContext context;
    Outcome out;
    std::unique_ptr<grpc::ClientAsyncResponseReader<PredictResponse>> reader;
  };
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<Call>> calls;
  for (std::size_t i = 0; i < kCalls; ++i) {
    auto one = std::make_unique<Call>();
    one->context.set_deadline(std::chrono::system_clock::now() + milliseconds(30000));
    one->reader = stub.AsyncPredict(&one->context, request_for(rows[i % rows.size()]), &queue);
    one->reader->Finish(&one->out.answer, &one->out.status, reinterpret_cast<void*>(i));
    calls.push_back(std::move(one));
  }
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < kCalls; ++i) {
    void* tag = nullptr;
    bool ok = false;
    if (!queue.Next(&tag, &ok)) break;
    const auto index = reinterpret_cast<std::size_t>(tag);
    const Outcome& out = calls[index]->out;
    if (!ok || !right(out.status, out.answer, rows[index % rows.size()])) ++wrong;
  }
  check("1,000 calls in flight", wrong == 0, std::to_string(wrong) + " went wrong");
  queue.Shutdown();
}

void errors(Stub& stub, const Row& row) {
  auto request = request_for(row);
  request.set_model("nothere");
  auto status = call(stub, request).status;
  check("unknown model", status.error_code() == grpc::NOT_FOUND, status.error_message());
  check("its message", status.error_message().find("nothere") != std::string::npos,
        status.error_message());
  PredictRequest named;
  named.set_model("iris");
  (*named.mutable_named_features())["sépale 100%"] = 1.0;
  status = call(stub, named).status;
  check("unknown feature", status.error_code() == grpc::INVALID_ARGUMENT, status.error_message());
  check("a message that is not ASCII",
        status.error_message().find("sépale 100%") != std::string::npos, status.error_message());
}

void deadline(Stub& stub, const Row& row) {
  PredictRequest slow;
  slow.set_model("digits");
  slow.set_rows(5000);
  for (int i = 0; i < 64 * 5000; ++i) slow.add_features(1);
  const auto status = call(stub, slow, milliseconds(3)).status;
  check("deadline", status.error_code() == grpc::DEADLINE_EXCEEDED, status.error_message());
  const auto out = call(stub, request_for(row));
  check("the channel still serves", right(out.status, out.answer, row),
        show(out.status, out.answer));
}

void compressed(Stub& stub, const Row& row) {
  constexpr int kRows = 2000;
  for (const auto algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    const auto out = call(stub, request_for(row, kRows), milliseconds(20000), algorithm);
    check("compressed", right(out.status, out.answer, row) && out.answer.labels_size() == kRows,
          show(out.status, out.answer));
  }
}

}  // namespace

int main(int, char** argv) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto stub = PredictionService::NewStub(
      grpc::CreateCustomChannel(argv[1], grpc::InsecureChannelCredentials(), arguments));
  const auto rows = read_rows();
  check("golden rows were given", rows.size() >= 100, std::to_string(rows.size()));
  unary(*stub, rows);
  asynchronous(*stub, rows);
  errors(*stub, rows[0]);
  deadline(*stub, rows[0]);
  compressed(*stub, rows[0]);
  std::cout << "grpcpp_client: " << passed << " passed, " << failed << " failed" << std::endl;
  return failed == 0 && passed > 0 ? 0 : 1;
}
