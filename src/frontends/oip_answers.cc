#include "frontends/oip_answers.h"

#include "core/servable.h"
#include "frontends/rest_call.h"

namespace sluice::frontends {
namespace {

// A size that clients may plan with; any other is answered too.
constexpr std::int64_t kDefaultMaxBatch = 32;

inference::DataType config_type(DType dtype) {
  switch (dtype) {
    case DType::kBool: return inference::TYPE_BOOL;
    case DType::kUint8: return inference::TYPE_UINT8;
    case DType::kUint16: return inference::TYPE_UINT16;
    case DType::kUint32: return inference::TYPE_UINT32;
    case DType::kUint64: return inference::TYPE_UINT64;
    case DType::kInt8: return inference::TYPE_INT8;
    case DType::kInt16: return inference::TYPE_INT16;
    case DType::kInt32: return inference::TYPE_INT32;
    case DType::kInt64: return inference::TYPE_INT64;
    case DType::kFloat16: return inference::TYPE_FP16;
    case DType::kBFloat16: return inference::TYPE_BF16;
    case DType::kFloat32: return inference::TYPE_FP32;
    case DType::kFloat64: return inference::TYPE_FP64;
    case DType::kString: return inference::TYPE_STRING;
  }
  return inference::TYPE_INVALID;
}

void describe(const TensorSpec& spec, inference::ModelMetadataResponse::TensorMetadata& out) {
  out.set_name(spec.name);
  out.set_datatype(std::string(name_of(spec.dtype)));
  for (const auto dim : spec.dims) out.add_shape(dim);
}

template <class Tensor>
void configure(const TensorSpec& spec, bool batched, Tensor& out) {
  out.set_name(spec.name);
  out.set_data_type(config_type(spec.dtype));
  const auto dims = batched ? spec.row_dims() : std::span(spec.dims);
  for (const auto dim : dims) out.add_dims(dim);
}

void configure_versions(const VersionChoice& choice, inference::ModelConfig& out) {
  auto& policy = *out.mutable_version_policy();
  if (choice.latest) {
    policy.mutable_latest()->set_num_versions(static_cast<std::uint32_t>(*choice.latest));
  } else {
    policy.mutable_all();  // versions by name have no place in this message
  }
}

void put(const Tally::Duration& duration, inference::StatisticDuration& out) {
  out.set_count(duration.count);
  out.set_ns(duration.ns);
}

void add_statistics(const Servable& servable, inference::ModelStatisticsResponse& out) {
  auto& model = *out.add_model_stats();
  const auto sums = servable.tally().sums();
  model.set_name(servable.model().str());
  model.set_version(servable.version().str());
  model.set_last_inference(sums.last_ms);
  model.set_inference_count(sums.rows);
  model.set_execution_count(sums.executions);
  auto& times = *model.mutable_inference_stats();
  put(sums.success, *times.mutable_success());
  put(sums.fail, *times.mutable_fail());
  put(sums.queue, *times.mutable_queue());
  put(sums.input, *times.mutable_compute_input());
  put(sums.infer, *times.mutable_compute_infer());
  put(sums.output, *times.mutable_compute_output());
  put(sums.cache_hit, *times.mutable_cache_hit());
  put(sums.cache_miss, *times.mutable_cache_miss());
  for (const auto& batch : servable.tally().batches()) {
    auto& each = *model.add_batch_stats();
    each.set_batch_size(batch.rows);
    put({batch.count, batch.infer_ns}, *each.mutable_compute_infer());
    put({batch.count, 0}, *each.mutable_compute_input());
    put({batch.count, 0}, *each.mutable_compute_output());
  }
}

std::string_view index_state(VersionState state) {
  switch (state) {
    case VersionState::kLoading: return "LOADING";
    case VersionState::kReady: return "READY";
    case VersionState::kFailed:
    case VersionState::kUnloaded: break;
  }
  return "UNAVAILABLE";
}

}  // namespace

bool server_ready(const ServingTables& tables) {
  const auto& table = *tables.read();
  return table.healthy() && !table.draining;
}

inference::ServerMetadataResponse server_metadata(const Parts& parts) {
  inference::ServerMetadataResponse out;
  out.set_name("sluice");
  out.set_version(SLUICE_VERSION);
  for (const char* extension :
       {"classification", "model_repository", "schedule_policy", "model_configuration",
        "binary_tensor_data", "parameters", "statistics"}) {
    out.add_extensions(extension);
  }
  if (parts.shared_memory.enabled()) out.add_extensions("system_shared_memory");
  if (parts.model_control) {
    out.add_extensions("trace");
    out.add_extensions("logging");
  }
  return out;
}

Result<std::shared_ptr<const Servable>> find_servable(const Parts& parts, std::string_view model,
                                                      std::string_view version) {
  if (model.empty()) return invalid("invalid_name", "the call names no model");
  SLUICE_CHECK(check_name(model, "model"));
  SLUICE_CHECK(check_name(version, "version"));
  return parts.pipeline.find(model, version);
}

void when_loaded(const Parts& parts, std::string_view model, std::string_view version,
                 TimePoint deadline, Turn& turn, std::move_only_function<void(Result<void>)> then) {
  const auto found = find_servable(parts, model, version);
  if (found || found.error().reason != "cold") {
    return then(found ? Result<void>() : Failure(found.error()));
  }
  parts.pipeline.find_or_load(model, version, deadline, &turn,
                              [then = std::move(then)](const auto& loaded) mutable {
                                then(loaded ? Result<void>() : Failure(loaded.error()));
                              });
}

Result<inference::ModelMetadataResponse> model_metadata(const Parts& parts, std::string_view model,
                                                        std::string_view version) {
  SLUICE_TRY(const auto servable, find_servable(parts, model, version));
  inference::ModelMetadataResponse out;
  out.set_name(servable->model().str());
  if (version.empty()) {
    const auto& table = *parts.tables.read();
    const auto* entry = table.find(model);
    for (std::size_t i = 0; entry != nullptr && i < entry->ready.size(); ++i) {
      out.add_versions(entry->ready[i]->version().str());
    }
  } else {
    out.add_versions(servable->version().str());
  }
  out.set_platform(std::string(servable->loaded().platform()));
  for (const auto& spec : servable->signature().inputs) describe(spec, *out.add_inputs());
  for (const auto& spec : servable->signature().outputs) describe(spec, *out.add_outputs());
  return out;
}

Result<inference::ModelConfig> model_config(const Parts& parts, std::string_view model,
                                            std::string_view version) {
  SLUICE_TRY(const auto servable, find_servable(parts, model, version));
  const auto* entry = parts.tables.read()->find(servable->model().str());
  const ModelConfig config = entry == nullptr ? ModelConfig{} : entry->config;
  const Signature& signature = servable->signature();
  const bool batched = signature.batchable();
  const std::string platform(servable->loaded().platform());
  inference::ModelConfig out;
  out.set_name(servable->model().str());
  out.set_platform(platform);
  out.set_backend(platform.substr(0, platform.find('_')));
  configure_versions(config.versions, out);
  const auto most = config.batching ? config.batching->max_batch_size : kDefaultMaxBatch;
  out.set_max_batch_size(batched ? static_cast<std::int32_t>(most) : 0);
  for (const auto& spec : signature.inputs) configure(spec, batched, *out.add_input());
  for (const auto& spec : signature.outputs) configure(spec, batched, *out.add_output());
  auto& group = *out.add_instance_group();
  group.set_name(servable->model().str());
  group.set_count(static_cast<std::int32_t>(std::max<std::int64_t>(config.instances.count, 1)));
  group.set_kind(inference::ModelInstanceGroup::KIND_CPU);
  return out;
}

Result<inference::ModelStatisticsResponse> model_statistics(const Parts& parts,
                                                            std::string_view model,
                                                            std::string_view version) {
  inference::ModelStatisticsResponse out;
  if (!model.empty()) {
    const auto found = find_servable(parts, model, version);
    if (!found && found.error().reason != "cold") return Failure(found.error());
  }
  parts.watch.finishing.settle();
  for (const auto& [name, entry] : parts.tables.read()->models) {
    if (!model.empty() && name != model) continue;
    for (const auto& servable : entry->ready) {
      if (version.empty() || servable->version().str() == version) add_statistics(*servable, out);
    }
  }
  return out;
}

inference::RepositoryIndexResponse repository_index(const ServingTables& tables, bool only_ready) {
  inference::RepositoryIndexResponse out;
  const auto add = [&](const std::string& name, const std::string& version, VersionState state,
                       const std::string& reason) {
    if (only_ready && state != VersionState::kReady) return;
    auto& index = *out.add_models();
    index.set_name(name);
    index.set_version(version);
    index.set_state(std::string(index_state(state)));
    index.set_reason(reason);
  };
  for (const auto& [name, entry] : tables.read()->models) {
    for (const auto& version : entry->versions) {
      const bool hidden = !entry->reason.empty() && !entry->can_serve();
      add(name, version.name.str(), hidden ? VersionState::kFailed : version.state,
          hidden ? entry->reason : version.reason);
    }
    if (entry->versions.empty()) add(name, "", VersionState::kFailed, entry->reason);
  }
  return out;
}

}  // namespace sluice::frontends
