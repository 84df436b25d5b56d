// What the fuzz targets share: bodies as a socket gives them, models that do not exist, and what
// must hold of everything that is read and written.
//
// Thread-safety: one thread.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "clients/shared_memory.h"
#include "core/request.h"
#include "core/servable.h"
#include "serving/output_plan.h"

namespace sluice::fuzz {

inline void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
  std::abort();
}

// Bytes in memory of exactly their size and the padding that a codec asks for, so that
// AddressSanitizer sees every byte read beyond them. The padding has what would do most harm if it
// were taken for a part of the body.
class Body {
 public:
  Body(std::string_view bytes, std::size_t padding)
      : size_(bytes.size()), memory_(new char[bytes.size() + padding]) {
    if (!bytes.empty()) std::memcpy(memory_.get(), bytes.data(), bytes.size());
    std::memset(memory_.get() + size_, '}', padding);
  }
  std::string_view view() const { return {memory_.get(), size_}; }
  bool holds(const void* start, std::size_t size) const {
    const auto* at = static_cast<const char*>(start);
    return parsed_elsewhere_ || (at >= memory_.get() && at + size <= memory_.get() + size_);
  }
  std::size_t size() const { return size_; }
  // Requests view what a library has parsed of it; AddressSanitizer alone knows where that lies.
  void parsed_elsewhere() { parsed_elsewhere_ = true; }

 private:
  bool parsed_elsewhere_ = false;
  std::size_t size_;
  std::unique_ptr<char[]> memory_;
};

// A model that answers zeros, or for an output called "echo…" its first input.
class FakeServable final : public Servable {
 public:
  explicit FakeServable(Signature signature) : signature_(std::move(signature)) {
    signature_.class_names = {"cat", "d\xC3\xB6g", "\xFF"};
    signature_.seal();
    auto plan = serving::make_output_plan(signature_, ModelConfig{});
    expect(plan.has_value(), "the model has an output plan");
    plan_ = *std::move(plan);
  }
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { return tally_; }
  Result<void> warm_up() const override { return {}; }

  bool run(RequestPtr& request) const override {
    auto& reply = request->reply;
    reply.outputs = request->arena.array<TensorView>(signature_.outputs.size());
    for (std::size_t i = 0; i < reply.outputs.size(); ++i) {
      const auto& spec = signature_.outputs[i];
      reply.outputs[i] = spec.name.starts_with("echo") ? request->inputs[0] : zeros(spec, *request);
    }
    reply.answered = true;
    if (!request->wants_prediction) return true;
    auto prediction = serving::interpret(plan_, reply.outputs, request->rows, request->arena);
    reply.answered = prediction.has_value();
    if (prediction) {
      reply.prediction = *std::move(prediction);
    } else {
      reply.error = std::move(prediction).error();
    }
    return true;
  }

 private:
  static TensorView zeros(const TensorSpec& spec, Request& request) {
    TensorView out;
    out.dtype = spec.dtype;
    for (const auto dim : spec.dims) {
      out.shape.push(dim == -1 ? static_cast<std::int64_t>(request.rows) : dim);
    }
    const std::size_t count = *element_count(out.shape.dims());
    if (spec.dtype == DType::kString) {
      auto strings = request.arena.array<std::string_view>(count);
      std::ranges::fill(strings, std::string_view());
      out.strings = strings;
    } else {
      auto bytes = request.arena.array<std::byte>(count * size_of(spec.dtype));
      std::ranges::fill(bytes, std::byte{});
      out.data = bytes;
    }
    return out;
  }

  ModelName model_ = *ModelName::parse("m");
  VersionName version_ = *VersionName::parse("1");
  Signature signature_;
  serving::OutputPlan plan_;
  mutable Tally tally_;
};

// A model with these inputs; what it gives depends on them, so that every form of answer is
// written.
inline Signature takes(std::vector<TensorSpec> inputs, std::vector<std::string> columns = {}) {
  Signature out;
  const auto echo = [&](const char* name) {
    return TensorSpec{name, inputs[0].dtype, inputs[0].dims, Role::kUnknown};
  };
  const TensorSpec scores{"y", DType::kFloat32, {-1, 3}, Role::kProbabilities};
  const TensorSpec bytes{"n_bytes", DType::kString, {-1}, Role::kValue};
  if (inputs.size() > 1) {
    out.outputs = {scores, echo("echo"), bytes};
  } else if (inputs[0].dtype == DType::kString) {
    out.outputs = {echo("echo"), echo("echo_bytes")};
  } else {
    out.outputs = {columns.empty() ? echo("echo") : scores};
  }
  out.inputs = std::move(inputs);
  out.columns = std::move(columns);
  return out;
}

// The models; a target's first byte chooses one by its lowest three bits.
inline const std::shared_ptr<const FakeServable>& servable(std::size_t which) {
  using enum DType;
  static const auto all = [] {
    const auto make = [](Signature signature) {
      return std::make_shared<const FakeServable>(std::move(signature));
    };
    return std::array{
        make(takes({{"x", kFloat32, {-1, 4}, {}}}, {"a", "b", "c", "age"})),
        make(takes({{"x", kFloat32, {-1, 4}, {}}})),
        make(takes({{"age", kFloat32, {-1, 1}, {}}, {"income", kInt64, {-1, 1}, {}}})),
        make(takes({{"x", kString, {-1, 2}, {}}}, {"a", "b"})),
        make(takes({{"x", kInt8, {2, 3}, {}}})),
        make(takes({{"x", kBool, {-1}, {}}})),
        make(takes({{"x", kFloat16, {1, -1, 2}, {}}})),
        make(takes({{"x", kFloat64, {-1, -1}, {}}, {"s", kString, {-1}, {}}})),
    };
  }();
  return all[which % all.size()];
}

// A region "r" of 64 bytes that clients have registered, zero whenever a request begins.
inline constexpr std::size_t kSharedBytes = 64;
inline clients::SharedMemory& shared_memory() {
  static constexpr std::size_t kSize = kSharedBytes;
  static clients::SharedMemory memory(true);
  static const int fd = [] {
    const std::string key = "sluice-fuzz-" + std::to_string(::getpid());
    const int opened = ::shm_open(("/" + key).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    expect(opened >= 0 && ::ftruncate(opened, kSize) == 0, "there is shared memory");
    const auto added = memory.add({"r", key, 0, kSize});
    ::shm_unlink(("/" + key).c_str());
    expect(added.has_value(), "shared memory can be registered");
    return opened;
  }();
  static constexpr std::array<char, kSize> kZeros{};
  expect(::pwrite(fd, kZeros.data(), kSize, 0) == kSize, "shared memory can be written");
  return memory;
}

// What clients are told is always something, and nothing of this machine. A slash is a path's
// unless the client wrote one, if need be as an escape.
inline void check_error(const Error& error, const Body& body) {
  expect(error.code == Code::kInvalidArgument, "a bad request is the client's fault");
  expect(!error.reason.empty(), "an error has a reason");
  expect(!error.message.empty(), "an error has a message");
  const auto input = body.view();
  const bool has_slash = input.find('/') != std::string_view::npos ||
                         input.find("2f") != std::string_view::npos ||
                         input.find("2F") != std::string_view::npos;
  expect(has_slash || error.message.find('/') == std::string::npos, "an error shows no path");
}

// What a decoded request views lies in its body, or in one piece of its arena.
inline void check_memory(const void* start, std::size_t size, const Body& body,
                         const Request& request) {
  if (size == 0) return;
  expect(body.holds(start, size) || request.arena.holds(start, size),
         "what a request views lies in its body or its arena");
}

inline void check_tensor(const TensorView& tensor, const Body& body, const Request& request) {
  expect(tensor.dtype <= DType::kString, "an input has been read");
  const auto count = element_count(tensor.shape.dims());
  expect(count.has_value(), "a shape's product is a size");
  expect(*count == tensor.elements(), "a tensor has as many elements as its shape says");
  if (tensor.dtype == DType::kString) {
    check_memory(tensor.strings.data(), tensor.strings.size_bytes(), body, request);
    for (const auto text : tensor.strings) check_memory(text.data(), text.size(), body, request);
    return;
  }
  const auto size = size_of(tensor.dtype);
  expect(tensor.data.size() == *count * size, "a tensor has no bytes beside its elements");
  expect(tensor.data.empty() || reinterpret_cast<std::uintptr_t>(tensor.data.data()) % size == 0,
         "elements are aligned");
  check_memory(tensor.data.data(), tensor.data.size(), body, request);
}

// What the pipeline does with a request between its reading and its answer: reads it again where
// `other` takes it over, checks it, runs it. False: it was refused. `after_reading` may end what
// lives only while a body is read.
inline bool carry(RequestPtr& request, const Body& body, const Result<void>& decoded,
                  const FakeServable* other, const std::function<void()>& after_reading) {
  after_reading();
  if (!decoded) {
    check_error(decoded.error(), body);
    return false;
  }
  const auto& signature = request->servable->signature();
  expect(request->bound_to == signature.fingerprint, "a request knows what it was read for");
  if (other != nullptr) {
    request->servable = {std::shared_ptr<void>(), other};
    const auto bound = request->rebind(*request, other->signature());
    after_reading();
    if (!bound) {
      check_error(bound.error(), body);
      return false;
    }
  }
  for (const auto& input : request->inputs) check_tensor(input, body, *request);
  for (const auto text :
       {request->request_id, request->user_id, request->entity_id, request->cache_key}) {
    check_memory(text.data(), text.size(), body, *request);
  }
  const auto rows =
      check_inputs(request->servable->signature(), request->inputs, request->may_split_rows);
  if (!rows) {
    check_error(rows.error(), body);
    return false;
  }
  request->rows = *rows;
  // A small request must not have a large answer: every row has a value, and a value takes a byte
  // of the body or of shared memory.
  expect(request->rows <= std::max(body.size(), kSharedBytes), "a row takes at least a byte");
  request->servable->run(request);
  if (!request->reply.error) return true;
  check_error(*request->reply.error, body);
  return false;
}

// A target's first byte: three bits for the model, two for the target's own, one that asks for the
// request to be read again as for a version that was chosen later, one that says whether that
// version is the same model or the next. Seeds have it so that they begin with a printable
// character.
struct Choice {
  explicit Choice(std::uint8_t byte)
      : first(servable(byte & 7U)),
        other((byte & 32U) == 0 ? nullptr
                                : servable((byte & 7U) + ((byte & 64U) == 0 ? 1 : 0)).get()),
        mode(byte >> 3 & 3U) {}
  const std::shared_ptr<const FakeServable>& first;
  const FakeServable* other;
  unsigned mode;
};

}  // namespace sluice::fuzz
