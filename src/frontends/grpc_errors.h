// The code that a gRPC call ends with: the error's own, except where HTTP tells more apart.
#pragma once

#include "base/error.h"

namespace sluice::frontends {

inline Code grpc_code(const Error& error) {
  return error.reason == "too_large" ? Code::kResourceExhausted : error.code;
}

}  // namespace sluice::frontends
