#include "frontends/builtin.h"

#include "frontends/drift_api.h"
#include "frontends/features_api.h"
#include "frontends/grpc_health.h"
#include "frontends/grpc_oip.h"
#include "frontends/grpc_reflection.h"
#include "frontends/grpc_simple.h"
#include "frontends/management.h"
#include "frontends/metrics.h"
#include "frontends/release_api.h"
#include "frontends/rest_oip.h"
#include "frontends/rest_simple.h"
#include "frontends/rest_tfserving.h"
#include "frontends/shadow_api.h"
#include "frontends/watch_api.h"

namespace sluice::frontends {

void add_builtin(Router& router, transport::GrpcMethods& methods, const Parts& parts) {
  add_rest_simple(router, parts);
  add_rest_oip(router, parts);
  add_rest_tfserving(router, parts);
  add_management(router, parts);
  add_release_api(router, parts);
  add_metrics(router, parts);
  add_shadow_api(router, parts);
  add_watch_api(router, parts);
  add_drift_api(router, parts);
  add_features_api(router, parts);
  add_grpc_simple(methods, parts);
  add_grpc_oip(methods, parts);
  add_grpc_health(methods, parts.tables);
  add_grpc_reflection(methods);  // last: it tells of the others
}

}  // namespace sluice::frontends
