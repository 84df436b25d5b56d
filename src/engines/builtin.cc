#include "engines/builtin.h"

#include "engines/ensemble.h"
#include "engines/onnx.h"
#include "engines/xgboost.h"

namespace sluice::engines {

void register_builtin(Registry<Engine>& registry) {
  registry.add("onnx", make_onnx());
  registry.add("xgboost", make_xgboost());
  // Last: its steps may use the engines above it.
  registry.add("ensemble", make_ensemble(registry.items()));
}

}  // namespace sluice::engines
