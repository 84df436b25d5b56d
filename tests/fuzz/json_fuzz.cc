// Every codec for a body that is JSON alone. Input: a byte (`Choice`: the mode is the codec), then
// the body.
#include <nlohmann/json.hpp>

#include "codecs/json_input.h"
#include "codecs/oip_json.h"
#include "codecs/simple_json.h"
#include "codecs/tfserving_json.h"
#include "fuzz.h"
#include "simdjson_guard.h"

namespace sluice::fuzz {
namespace {

enum Mode : unsigned { kSimple, kSimpleStrict, kOip, kTfServing };

Result<void> decode(unsigned mode, std::string_view body, Request& request) {
  const auto& signature = request.servable->signature();
  switch (mode) {
    case kOip: return codecs::decode_oip_json(body, {}, signature, shared_memory(), request);
    case kTfServing: return codecs::decode_tfserving_json(body, signature, request);
    default: return codecs::decode_simple_json(body, signature, mode == kSimpleStrict, request);
  }
}

Result<std::string> encode(unsigned mode, Request& request) {
  std::string out;
  switch (mode) {
    case kOip: {
      SLUICE_TRY(const auto length, codecs::encode_oip_json(request, out));
      if (length) {
        expect(*length <= out.size(), "the JSON of an answer is a part of it");
        out.resize(*length);
      }
      break;
    }
    case kTfServing: SLUICE_CHECK(codecs::encode_tfserving_json(request, out)); break;
    default: codecs::encode_simple_json(request, "m", "1", out);
  }
  return out;
}

void check_error_body(const Error& error) {
  std::string out;
  codecs::encode_simple_error(error, out);
  expect(nlohmann::json::accept(out), "an error's body is JSON");
}

void run(std::uint8_t byte, std::string_view bytes) {
  const Choice choice(byte);
  const Body body(bytes, codecs::json_padding());
  // A new parser has buffers for this body alone; without one, views of its buffers are invalid.
  const auto renew = [] { codecs::thread_parser() = codecs::od::parser(); };
  renew();
  auto request = make_request();
  request->servable = choice.first;
  request->wants_prediction = choice.mode == kSimple || choice.mode == kSimpleStrict;
  const auto decoded = decode(choice.mode, body.view(), *request);
  if (!decoded) check_error_body(decoded.error());
  if (!carry(request, body, decoded, choice.other, renew)) return;
  const auto answer = encode(choice.mode, *request);
  if (!answer) return check_error(answer.error(), body);
  expect(nlohmann::json::accept(*answer), "an answer is JSON");
}

}  // namespace
}  // namespace sluice::fuzz

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  sluice::fuzz::guard_simdjson();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return -1;
  sluice::fuzz::run(data[0], {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
