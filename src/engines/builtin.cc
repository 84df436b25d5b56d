#include "engines/builtin.h"

#include "engines/onnx.h"
#include "engines/xgboost.h"

namespace sluice::engines {

void register_builtin(Registry<Engine>& registry) {
  registry.add("onnx", make_onnx());
  registry.add("xgboost", make_xgboost());
}

}  // namespace sluice::engines
