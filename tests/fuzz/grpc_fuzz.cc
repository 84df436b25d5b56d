// The Open Inference Protocol's gRPC messages. Input: a byte (`Choice`; the mode makes no
// difference), then a ModelInferRequest.
#include "base/protowire.h"
#include "codecs/oip_proto.h"
#include "fuzz.h"

namespace sluice::fuzz {
namespace {

// Every field of a message can be read; `visit` gets each.
template <class Visit>
void each_field(std::string_view message, Visit visit) {
  WireReader reader(message);
  while (reader.next()) visit(reader);
  expect(reader.ok(), "an answer is protobuf");
}

void check_answer(const std::string& answer, const Request& request) {
  std::size_t outputs = 0;
  std::size_t contents = 0;
  each_field(answer, [&](const WireReader& field) {
    if (field.field() == 5) {
      ++outputs;
      each_field(field.bytes(), [](const WireReader&) {});
    }
    contents += std::size_t{field.field() == 6};
  });
  expect(outputs > 0 && outputs <= request.reply.outputs.size(), "an answer has its outputs");
  expect(outputs == contents, "every output has its contents");
  each_field(codecs::encode_oip_stream(answer), [](const WireReader&) {});
}

void run(std::uint8_t byte, std::string_view bytes) {
  const Choice choice(byte);
  const Body body(bytes, 0);
  const auto target = codecs::read_oip_target(body.view());
  if (!target) {
    check_error(target.error(), body);
  } else {
    for (const auto text : {target->model, target->version, target->id}) {
      expect(text.empty() || body.holds(text.data(), text.size()),
             "a target's names are in the message");
    }
    each_field(codecs::encode_oip_stream_error("no", *target), [](const WireReader&) {});
  }
  auto request = make_request();
  request->servable = choice.first;
  const auto decoded =
      codecs::decode_oip_proto(body.view(), choice.first->signature(), shared_memory(), *request);
  expect(target.has_value() || !decoded, "what has no target has no inputs");
  if (!carry(request, body, decoded, choice.other, [] {})) return;
  const auto answer = codecs::encode_oip_proto(*request);
  if (!answer) return check_error(answer.error(), body);
  check_answer(*answer, *request);
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return -1;
  sluice::fuzz::run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
