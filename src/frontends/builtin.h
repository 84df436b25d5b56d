// The front ends that exist. To add one, write its file, add its calls to endpoints.cc and its line
// to builtin.cc.
#pragma once

#include "frontends/parts.h"
#include "frontends/router.h"
#include "transport/grpc.h"

namespace sluice::frontends {

void add_builtin(Router& router, transport::GrpcMethods& methods, const Parts& parts);

}  // namespace sluice::frontends
