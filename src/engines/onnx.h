// ONNX models through ONNX Runtime (C API; the only folder that sees its headers).
//
// The file is scanned first (onnx_scan.h); files with external data are opened beneath the model's
// directory by us and handed over as memory, so ONNX Runtime opens no file at all. Its telemetry,
// which official builds since 1.29 send by default, is switched off before its environment exists.
#pragma once

#include <memory>

#include "core/engine.h"

namespace sluice::engines {

std::shared_ptr<const Engine> make_onnx();

}  // namespace sluice::engines
