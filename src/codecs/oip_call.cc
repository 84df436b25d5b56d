#include "codecs/oip_call.h"

#include <algorithm>
#include <limits>
#include <string>

#include "base/text.h"
#include "codecs/classification.h"
#include "core/servable.h"

namespace sluice::codecs {
namespace {

constexpr std::size_t kMaxText = 128;
constexpr std::uint64_t kLongestTimeout = 86'400'000'000;  // a day of microseconds

Failure wrong(const OipParameter& parameter, std::string_view expected) {
  return invalid("bad_parameter",
                 "parameter '" + std::string(parameter.key) + "' must be " + std::string(expected));
}

Result<std::uint64_t> natural(const OipParameter& parameter) {
  if (const auto* number = std::get_if<std::uint64_t>(&parameter.value)) return *number;
  const auto* number = std::get_if<std::int64_t>(&parameter.value);
  if (number == nullptr || *number < 0) return wrong(parameter, "a whole number of at least 0");
  return static_cast<std::uint64_t>(*number);
}

Result<bool> flag(const OipParameter& parameter) {
  const auto* value = std::get_if<bool>(&parameter.value);
  if (value == nullptr) return wrong(parameter, "true or false");
  return *value;
}

Result<std::string_view> text(const OipParameter& parameter, std::size_t most = kMaxText) {
  const auto* value = std::get_if<std::string_view>(&parameter.value);
  if (value == nullptr || value->size() > most) {
    return wrong(parameter, "a text of at most " + std::to_string(most) + " bytes");
  }
  return *value;
}

Result<void> check_key(std::string_view key) {
  if (!key.starts_with("triton_") && !key.starts_with("sluice_")) return {};
  return invalid("bad_parameter", "parameter '" + printable(key) +
                                      "' is reserved: keys that begin with triton_ or sluice_ are "
                                      "the server's own");
}

std::vector<std::string_view> names_of(const std::vector<TensorSpec>& specs) {
  std::vector<std::string_view> out;
  for (const auto& spec : specs) out.emplace_back(spec.name);
  return out;
}

// Whole numbers that only have such a name may be scores, where a row has several.
bool says_class(const TensorSpec& spec) {
  if (spec.role != Role::kUnknown) return spec.role == Role::kLabel;
  const bool one = spec.dims.size() == 1 || (spec.dims.size() == 2 && spec.dims[1] == 1);
  return one && role_by_name(spec) == Role::kLabel;
}

}  // namespace

Result<void> apply_parameter(const OipParameter& parameter, OipCall& call, Request& request) {
  const auto key = parameter.key;
  if (key == "priority") {
    SLUICE_TRY(request.priority, natural(parameter));
  } else if (key == "timeout") {
    SLUICE_TRY(const auto micros, natural(parameter));
    if (micros == 0) return {};  // the protocol's word for none
    const std::chrono::microseconds timeout(
        static_cast<std::int64_t>(std::min(micros, kLongestTimeout)));
    request.deadline = std::min(request.deadline, request.arrived + timeout);
  } else if (key == "binary_data_output") {
    SLUICE_TRY(call.binary_outputs, flag(parameter));
  } else if (key == "debug") {
    SLUICE_TRY(request.debug, flag(parameter));
  } else if (key == "user_id") {
    SLUICE_TRY(const auto value, text(parameter, 256));
    return set_user(request, request.arena.copy(value));
  } else if (key == "cache_key") {
    SLUICE_TRY(const auto value, text(parameter));
    request.cache_key = request.arena.copy(value);
  } else if (key == "triton_enable_empty_final_response") {
    SLUICE_TRY(call.final_marker, flag(parameter));
  } else {
    return check_key(key);
  }
  return {};
}

Result<void> apply_parameter(const OipParameter& parameter, OipTensorOptions& options) {
  const auto key = parameter.key;
  if (key == "binary_data_size") {
    SLUICE_TRY(options.binary_size, natural(parameter));
  } else if (key == "binary_data") {
    SLUICE_TRY(options.binary, flag(parameter));
  } else if (key == "classification") {
    SLUICE_TRY(options.classes, natural(parameter));
    if (options.classes == 0) return wrong(parameter, "a whole number of at least 1");
  } else if (key == "shared_memory_region") {
    SLUICE_TRY(options.memory.region, text(parameter));
    if (options.memory.region.empty()) return wrong(parameter, "the name of a region");
  } else if (key == "shared_memory_offset") {
    SLUICE_TRY(options.memory.offset, natural(parameter));
  } else if (key == "shared_memory_byte_size") {
    SLUICE_TRY(options.memory.size, natural(parameter));
  } else {
    return check_key(key);
  }
  return {};
}

OipOutputs::OipOutputs(const Signature& signature, Arena& arena)
    : signature_(signature), list_(arena.array<OipOutput>(signature.outputs.size())) {}

Result<void> OipOutputs::add(std::string_view name, const OipTensorOptions& options) {
  const auto index = signature_.output_named(name);
  if (index == Signature::npos) {
    return invalid("unknown_output", "the model has no output '" + printable(name) + "'" +
                                         did_you_mean(name, names_of(signature_.outputs)));
  }
  const auto so_far = list_.first(count_);
  if (std::ranges::find(so_far, index, &OipOutput::index) != so_far.end()) {
    return invalid("duplicate_output", "output '" + printable(name) + "' is requested twice");
  }
  if (options.classes > 0 && !options.memory.region.empty()) {
    return invalid("bad_parameter", "output '" + printable(name) +
                                        "' cannot be classified into shared memory; ask for one "
                                        "of the two");
  }
  list_[count_++] = {static_cast<std::uint32_t>(index), options};
  return {};
}

std::span<const OipOutput> OipOutputs::take() {
  if (count_ > 0) return list_.first(count_);
  for (std::size_t i = 0; i < list_.size(); ++i) list_[i] = {static_cast<std::uint32_t>(i), {}};
  return list_;
}

OipInputs::OipInputs(const Signature& signature, Request& request)
    : signature_(signature), request_(request) {
  request.inputs = request.arena.array<TensorView>(signature.inputs.size());
  seen_ = request.arena.array<bool>(signature.inputs.size());
  std::ranges::fill(seen_, false);
}

Result<const TensorSpec*> OipInputs::begin(std::string_view name, std::string_view datatype) {
  const auto index = signature_.input_named(name);
  if (index == Signature::npos) {
    return invalid("unknown_input", "the model has no input '" + printable(name) + "'" +
                                        did_you_mean(name, names_of(signature_.inputs)));
  }
  if (seen_[index]) {
    return invalid("duplicate_input", "input '" + printable(name) + "' is given twice");
  }
  const TensorSpec& spec = signature_.inputs[index];
  if (datatype != name_of(spec.dtype)) {
    return invalid("wrong_type", "input '" + spec.name + "' is " + printable(datatype, 16) +
                                     "; the model takes " + std::string(name_of(spec.dtype)));
  }
  return &spec;
}

void OipInputs::put(const TensorSpec* spec, const TensorView& tensor) {
  const auto index = static_cast<std::size_t>(spec - signature_.inputs.data());
  request_.inputs[index] = tensor;
  seen_[index] = true;
}

Result<void> OipInputs::finish() const {
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i]) continue;
    return invalid("missing_input", "input '" + signature_.inputs[i].name + "' is missing");
  }
  return {};
}

Result<TensorView> output_tensor(const Request& request, const OipOutput& output, Arena& arena) {
  const TensorView& tensor = request.reply.outputs[output.index];
  const std::size_t k = output.options.classes;
  if (k == 0) return tensor;
  const auto& signature = request.servable->signature();
  const auto& spec = signature.outputs[output.index];
  if (says_class(spec)) {
    return invalid("wrong_type", "output '" + spec.name +
                                     "' says a class already; classification is of scores, one "
                                     "for each class");
  }
  const bool by_row = tensor.shape.rank() > 0 && (spec.counts_rows() || tensor.shape.rank() > 1);
  return classify(tensor, by_row, k, signature.class_names, arena);
}

}  // namespace sluice::codecs
