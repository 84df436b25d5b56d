// What the two wire forms of the Open Inference Protocol share: the meaning of parameters, which
// outputs are wanted and how, and where tensors lie that do not travel in the message.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "clients/shared_memory.h"
#include "core/request.h"

namespace sluice::codecs {

inline constexpr std::size_t kMaxParameters = 64;
inline constexpr std::size_t kMaxOipId = 1024;

struct OipParameter {
  std::string_view key;
  std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view> value;
};

// What a tensor's parameters say, of an input or a requested output.
struct OipTensorOptions {
  std::optional<std::uint64_t> binary_size;  // the input follows the JSON, with so many bytes
  std::optional<bool> binary;                // the output is to follow the JSON
  std::uint64_t classes = 0;                 // the output as its so many largest values
  clients::MemoryRef memory;
};

struct OipOutput {
  std::uint32_t index = 0;  // in the signature
  OipTensorOptions options;
};

// What a codec keeps of a request until it is answered; lies in the request's arena.
struct OipCall {
  std::string_view id;
  std::span<const OipOutput> outputs;  // in the order of the answer
  bool binary_outputs = false;         // for those that do not say
  bool final_marker = false;           // a stream wants to know which response is the last
  const clients::SharedMemory* memory = nullptr;
};

// One parameter of the whole request: priority, timeout, user_id … Unknown ones are ignored.
// Errors: kInvalidArgument/`bad_parameter`: a wrong type, or a key reserved for servers.
Result<void> apply_parameter(const OipParameter& parameter, OipCall& call, Request& request);
// One parameter of a tensor.
Result<void> apply_parameter(const OipParameter& parameter, OipTensorOptions& options);

// Collects the requested outputs, each at most once.
class OipOutputs {
 public:
  OipOutputs(const Signature& signature, Arena& arena);
  // Errors: kInvalidArgument with `unknown_output`, `duplicate_output`.
  Result<void> add(std::string_view name, const OipTensorOptions& options);
  // Those added, or all where there were none.
  std::span<const OipOutput> take();

 private:
  const Signature& signature_;
  std::span<OipOutput> list_;
  std::size_t count_ = 0;
};

// The places of the request's inputs, each filled exactly once.
class OipInputs {
 public:
  OipInputs(const Signature& signature, Request& request);
  // Errors: kInvalidArgument with `unknown_input`, `duplicate_input`, `wrong_type`.
  Result<const TensorSpec*> begin(std::string_view name, std::string_view datatype);
  void put(const TensorSpec* spec, const TensorView& tensor);
  // Errors: kInvalidArgument/`missing_input`.
  Result<void> finish() const;

 private:
  const Signature& signature_;
  Request& request_;
  std::span<bool> seen_;
};

// The tensor of an output as it is to be sent: itself, or its classification.
Result<TensorView> output_tensor(const Request& request, const OipOutput& output, Arena& arena);

}  // namespace sluice::codecs
