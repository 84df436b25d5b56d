#include "engines/onnx_environment.h"

#include <cstdlib>

namespace sluice::engines {

std::shared_ptr<Ort::Env> onnx_environment() {
  ::setenv("ORT_DISABLE_TELEMETRY", "1", 0);
  // The library counts those who have its environment: each of these is the same one.
  auto out = std::make_shared<Ort::Env>(ORT_LOGGING_LEVEL_FATAL, "sluice");
  out->DisableTelemetryEvents();
  return out;
}

}  // namespace sluice::engines
