#include "engines/builtin.h"

#include "engines/ensemble.h"
#include "engines/onnx.h"
#include "engines/sklearn.h"
#include "engines/xgboost.h"

namespace sluice::engines {

void register_builtin(Registry<Engine>& registry, const EngineOptions& options) {
  registry.add("onnx", make_onnx());
  registry.add("xgboost", make_xgboost());
  registry.add("sklearn", make_sklearn(options.python));
  // Last: its steps may use the engines above it.
  registry.add("ensemble", make_ensemble(registry.items()));
}

}  // namespace sluice::engines
