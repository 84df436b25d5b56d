// The Open Inference Protocol's JSON with raw tensors behind it. Input: a byte (`Choice`: the mode
// says where the JSON ends), then the body.
#include <nlohmann/json.hpp>

#include "codecs/json_input.h"
#include "codecs/oip_json.h"
#include "codecs/simple_json.h"
#include "fuzz.h"
#include "simdjson_guard.h"

namespace sluice::fuzz {
namespace {

enum Mode : unsigned {
  kGiven,     // the header's value is two bytes before the body, little-endian
  kAtZero,    // the JSON ends where there is a zero byte, which is left out
  kNoHeader,  // all is JSON
  kRawBody,   // none is
};

struct Parts {
  std::optional<std::size_t> header_length;
  std::string body;
};

Parts parts_of(unsigned mode, std::string_view bytes) {
  switch (mode) {
    case kGiven: {
      std::uint16_t length = 0;
      std::memcpy(&length, bytes.data(), std::min(sizeof length, bytes.size()));
      bytes.remove_prefix(std::min(sizeof length, bytes.size()));
      return {length, std::string(bytes)};
    }
    case kAtZero: {
      const auto end = std::min(bytes.find('\0'), bytes.size());
      std::string body(bytes);
      if (end < body.size()) body.erase(end, 1);
      return {end, std::move(body)};
    }
    case kRawBody: return {0, std::string(bytes)};
    default: return {std::nullopt, std::string(bytes)};
  }
}

// The answer's JSON is valid and tells the size of what follows it.
void check_answer(const std::string& answer, std::optional<std::size_t> length) {
  expect(!length || *length <= answer.size(), "the JSON of an answer is a part of it");
  const auto end = answer.begin() + static_cast<std::ptrdiff_t>(length.value_or(answer.size()));
  const auto json = nlohmann::json::parse(answer.begin(), end, nullptr, false);
  expect(!json.is_discarded(), "an answer is JSON");
  std::size_t said = 0;
  for (const auto& output : json["outputs"]) {
    const auto parameters = output.value("parameters", nlohmann::json::object());
    said += parameters.value("binary_data_size", std::size_t{0});
  }
  expect(said == static_cast<std::size_t>(answer.end() - end), "raw outputs have their sizes");
}

void run(std::uint8_t byte, std::string_view bytes) {
  const Choice choice(byte);
  const auto parts = parts_of(choice.mode, bytes);
  const Body body(parts.body, codecs::json_padding());
  // See json_fuzz.cc.
  const auto renew = [] { codecs::thread_parser() = codecs::od::parser(); };
  renew();
  auto request = make_request();
  request->servable = choice.first;
  const auto decoded = codecs::decode_oip_json(
      body.view(), parts.header_length, choice.first->signature(), shared_memory(), *request);
  if (!carry(request, body, decoded, choice.other, renew)) return;
  std::string answer = "{";  // answers are appended
  const auto length = codecs::encode_oip_json(*request, answer);
  if (!length) return check_error(length.error(), body);
  check_answer(answer.substr(1), *length);
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
