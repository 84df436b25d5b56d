// The calls of the Open Inference Protocol that change something, over gRPC.
#include "frontends/grpc_oip.h"
#include "frontends/grpc_unary.h"
#include "frontends/oip_answers.h"
#include "frontends/oip_control.h"
#include "frontends/oip_settings.h"

namespace sluice::frontends {
namespace {

using transport::GrpcCallPtr;

const std::string kService = "/inference.GRPCInferenceService/";

Failure no_gpus() {
  return fail(Code::kUnimplemented, "not_enabled", "there are no GPUs here, nor memory of theirs");
}

// KServe's clients have the model's name where Triton's have the repository's.
template <class In>
const std::string& model_of(const In& in) {
  return in.model_name().empty() ? in.repository_name() : in.model_name();
}

template <class In>
Result<void> check_parameters(const In& in) {
  for (const auto& [key, value] : in.parameters()) SLUICE_CHECK(check_load_parameter(key));
  return {};
}

void add_repository(transport::GrpcMethods& methods, const Parts& parts) {
  add_unary<inference::RepositoryIndexRequest>(
      methods, parts, kService + "RepositoryIndex",
      [parts](const auto& in) -> Result<inference::RepositoryIndexResponse> {
        return repository_index(parts.tables, in.ready());
      });
  add_parsed<inference::RepositoryModelLoadRequest>(
      methods, parts, kService + "RepositoryModelLoad",
      [parts](const GrpcCallPtr& call, const auto& in) {
        if (auto ok = check_parameters(in); !ok) return end_call(call, ok.error());
        const std::string& model = model_of(in);
        load_model(parts, model, [call, model](const Result<void>& result) {
          if (!result) return end_call(call, result.error());
          inference::RepositoryModelLoadResponse out;
          out.set_model_name(model);
          out.set_isloaded(true);
          call->reply(out.SerializeAsString());
        });
      });
  add_parsed<inference::RepositoryModelUnloadRequest>(
      methods, parts, kService + "RepositoryModelUnload",
      [parts](const GrpcCallPtr& call, const auto& in) {
        if (auto ok = check_parameters(in); !ok) return end_call(call, ok.error());
        const std::string& model = model_of(in);
        unload_model(parts, model, [call, model](const Result<void>& result) {
          if (!result) return end_call(call, result.error());
          inference::RepositoryModelUnloadResponse out;
          out.set_model_name(model);
          out.set_isunloaded(true);
          call->reply(out.SerializeAsString());
        });
      });
}

void add_system_memory(transport::GrpcMethods& methods, const Parts& parts) {
  add_unary<inference::SystemSharedMemoryStatusRequest>(
      methods, parts, kService + "SystemSharedMemoryStatus",
      [parts](const auto& in) -> Result<inference::SystemSharedMemoryStatusResponse> {
        SLUICE_TRY(const auto regions, parts.shared_memory.list(in.name()));
        inference::SystemSharedMemoryStatusResponse out;
        for (const auto& region : regions) {
          auto& status = (*out.mutable_regions())[region.name];
          status.set_name(region.name);
          status.set_key(region.key);
          status.set_offset(region.offset);
          status.set_byte_size(region.size);
        }
        return out;
      });
  add_unary<inference::SystemSharedMemoryRegisterRequest>(
      methods, parts, kService + "SystemSharedMemoryRegister",
      [parts](const auto& in) -> Result<inference::SystemSharedMemoryRegisterResponse> {
        SLUICE_CHECK(parts.shared_memory.add({in.name(), in.key(), in.offset(), in.byte_size()}));
        return inference::SystemSharedMemoryRegisterResponse();
      });
  add_unary<inference::SystemSharedMemoryUnregisterRequest>(
      methods, parts, kService + "SystemSharedMemoryUnregister",
      [parts](const auto& in) -> Result<inference::SystemSharedMemoryUnregisterResponse> {
        SLUICE_CHECK(in.name().empty() ? parts.shared_memory.remove_all()
                                       : parts.shared_memory.remove(in.name()));
        return inference::SystemSharedMemoryUnregisterResponse();
      });
}

void add_cuda_memory(transport::GrpcMethods& methods, const Parts& parts) {
  add_unary<inference::CudaSharedMemoryStatusRequest>(
      methods, parts, kService + "CudaSharedMemoryStatus",
      [](const auto&) -> Result<inference::CudaSharedMemoryStatusResponse> {
        return inference::CudaSharedMemoryStatusResponse();
      });
  add_unary<inference::CudaSharedMemoryRegisterRequest>(
      methods, parts, kService + "CudaSharedMemoryRegister",
      [](const auto&) -> Result<inference::CudaSharedMemoryRegisterResponse> { return no_gpus(); });
  add_unary<inference::CudaSharedMemoryUnregisterRequest>(
      methods, parts, kService + "CudaSharedMemoryUnregister",
      [](const auto&) -> Result<inference::CudaSharedMemoryUnregisterResponse> {
        return inference::CudaSharedMemoryUnregisterResponse();
      });
}

Result<inference::TraceSettingResponse> trace(const Parts& parts,
                                              const inference::TraceSettingRequest& in) {
  if (!in.model_name().empty()) SLUICE_CHECK(find_servable(parts, in.model_name(), {}));
  observers::TracePatch patch;
  for (const auto& [key, value] : in.settings()) {
    patch[key] = std::vector<std::string>(value.value().begin(), value.value().end());
  }
  if (!patch.empty()) SLUICE_CHECK(parts.trace.update(in.model_name(), patch));
  inference::TraceSettingResponse out;
  for (const auto& [key, values] : parts.trace.view(in.model_name())) {
    auto& setting = (*out.mutable_settings())[key];
    for (const auto& value : values) setting.add_value(value);
  }
  return out;
}

LogSettings changes_of(const inference::LogSettingsRequest& in) {
  using Value = inference::LogSettingsRequest::SettingValue;
  LogSettings out;
  for (const auto& [key, value] : in.settings()) {
    switch (value.parameter_choice_case()) {
      case Value::kBoolParam: out[key] = value.bool_param(); break;
      case Value::kUint32Param: out[key] = std::uint64_t{value.uint32_param()}; break;
      case Value::kStringParam: out[key] = value.string_param(); break;
      case Value::PARAMETER_CHOICE_NOT_SET: break;
    }
  }
  return out;
}

Result<inference::LogSettingsResponse> logging(const inference::LogSettingsRequest& in) {
  SLUICE_CHECK(change_log_settings(changes_of(in)));
  inference::LogSettingsResponse out;
  for (const auto& [key, value] : log_settings()) {
    auto& setting = (*out.mutable_settings())[key];
    if (const auto* flag = std::get_if<bool>(&value)) setting.set_bool_param(*flag);
    if (const auto* number = std::get_if<std::uint64_t>(&value)) {
      setting.set_uint32_param(static_cast<std::uint32_t>(*number));
    }
    if (const auto* text = std::get_if<std::string>(&value)) setting.set_string_param(*text);
  }
  return out;
}

}  // namespace

void add_grpc_oip_control(transport::GrpcMethods& methods, const Parts& parts) {
  add_repository(methods, parts);
  add_system_memory(methods, parts);
  add_cuda_memory(methods, parts);
  add_unary<inference::TraceSettingRequest>(methods, parts, kService + "TraceSetting",
                                            [parts](const auto& in) { return trace(parts, in); });
  add_unary<inference::LogSettingsRequest>(methods, parts, kService + "LogSettings",
                                           [](const auto& in) { return logging(in); });
}

}  // namespace sluice::frontends
