// gRPC server reflection, v1 and v1alpha, over the descriptors of the services that are served.
#pragma once

#include "transport/grpc.h"

namespace sluice::frontends {

// `methods` outlives the server; services added later are listed too.
void add_grpc_reflection(transport::GrpcMethods& methods);

}  // namespace sluice::frontends
