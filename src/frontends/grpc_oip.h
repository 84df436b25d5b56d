// The Open Inference Protocol v2 over gRPC (proto/oip/service.proto), with the extensions of
// Triton.
#pragma once

#include "frontends/parts.h"
#include "transport/grpc.h"

namespace sluice::frontends {

void add_grpc_oip(transport::GrpcMethods& methods, const Parts& parts);
// The calls that change something: repository, shared memory, settings. Called by add_grpc_oip.
void add_grpc_oip_control(transport::GrpcMethods& methods, const Parts& parts);

}  // namespace sluice::frontends
