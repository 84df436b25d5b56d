// The Open Inference Protocol's half of the empty handler: tensors are decoded, and an answer of
// the same form and size as the model's is encoded, with no pipeline and no model between them.
#pragma once

#include "core/signature.h"
#include "frontends/router.h"
#include "transport/grpc.h"

namespace sluice::bench {

// One model, "breast_cancer" in version "v1", over REST and gRPC.
void add_empty_oip(frontends::Router& router, transport::GrpcMethods& methods, Signature signature);

}  // namespace sluice::bench
