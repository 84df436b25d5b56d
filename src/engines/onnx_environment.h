// ONNX Runtime's one environment. Internal to the ONNX files of this room.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <memory>

namespace sluice::engines {

// Made on the first call, with telemetry off before it exists (official builds since 1.29 send it
// by default); an operator who wants it sets ORT_DISABLE_TELEMETRY to 0 himself. It ends with the
// last who has it. May throw Ort::Exception. Thread-safety: any.
std::shared_ptr<Ort::Env> onnx_environment();

}  // namespace sluice::engines
