// What the Open Inference Protocol tells of the server and its models, made once for both of its
// forms: gRPC sends these messages, REST prints them.
//
// Thread-safety: functions without state, on a snapshot of the serving table.
#pragma once

#include <functional>
#include <string_view>

#include "base/error.h"
#include "base/turn.h"
#include "frontends/parts.h"
#include "oip/service.pb.h"

namespace sluice::frontends {

bool server_ready(const ServingTables& tables);

inference::ServerMetadataResponse server_metadata(const Parts& parts);

// Errors of these: kNotFound, kUnavailable/`not_ready` or `cold`, kInvalidArgument/`invalid_name`.
Result<std::shared_ptr<const Servable>> find_servable(const Parts& parts, std::string_view model,
                                                      std::string_view version);
// Sees to it that the version is there, loading a lazy one; `then` is called at once, or later on
// `turn`'s thread, where the functions below find it.
void when_loaded(const Parts& parts, std::string_view model, std::string_view version,
                 TimePoint deadline, Turn& turn, std::move_only_function<void(Result<void>)> then);
Result<inference::ModelMetadataResponse> model_metadata(const Parts& parts, std::string_view model,
                                                        std::string_view version);
Result<inference::ModelConfig> model_config(const Parts& parts, std::string_view model,
                                            std::string_view version);
// Of all models where `model` is empty, of all versions where `version` is.
Result<inference::ModelStatisticsResponse> model_statistics(const Parts& parts,
                                                            std::string_view model,
                                                            std::string_view version);

inference::RepositoryIndexResponse repository_index(const ServingTables& tables, bool only_ready);

}  // namespace sluice::frontends
