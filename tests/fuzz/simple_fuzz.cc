// The simple gRPC API's messages. Input: a byte (`Choice`; the mode makes no difference), then a
// PredictRequest.
#include "codecs/simple_proto.h"
#include "fuzz.h"
#include "prediction.pb.h"

namespace sluice::fuzz {
namespace {

void check_answer(const std::string& answer, const Request& request) {
  PredictResponse response;
  expect(response.ParseFromString(answer), "an answer is a PredictResponse");
  const auto confidences = static_cast<std::size_t>(response.confidences_size());
  expect(confidences == 0 || confidences == request.rows, "every row has its confidence");
}

void run(std::uint8_t byte, std::string_view bytes) {
  const Choice choice(byte);
  Body body(bytes, 0);
  body.parsed_elsewhere();
  const auto message = codecs::parse_simple_proto(body.view());
  if (!message) return check_error(message.error(), body);
  auto request = make_request();
  request->servable = choice.first;
  request->wants_prediction = true;
  const auto decoded =
      codecs::decode_simple_proto(**message, choice.first->signature(), *request);
  if (!carry(request, body, decoded, choice.other, [] {})) return;
  check_answer(codecs::encode_simple_proto(*request, "m", "1"), *request);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return -1;
  sluice::fuzz::run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
