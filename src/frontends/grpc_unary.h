// Unary calls whose messages are protobuf's own classes. Internal to the front ends.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "frontends/endpoints.h"
#include "frontends/grpc_errors.h"
#include "frontends/parts.h"
#include "transport/grpc.h"

namespace sluice::frontends {

inline void end_call(const transport::GrpcCallPtr& call, const Error& error) {
  call->finish(grpc_code(error), error.message);
}

// Adds a method of the table in endpoints.h; who may call it is what the table says.
template <class Serve>
void add_method(transport::GrpcMethods& methods, const Parts& parts, const std::string& path,
                Serve serve) {
  const Endpoint* endpoint = find_endpoint("gRPC", path);
  if (endpoint == nullptr) std::abort();  // a mistake in this program, seen at its first start
  const bool closed = endpoint->surface == Surface::kModelControl && !parts.model_control;
  methods.add(path, {[closed, serve](const transport::GrpcCallPtr& call, std::string_view message) {
                       if (!closed) return serve(call, message);
                       call->finish(Code::kUnavailable,
                                    "this call needs the server to be started with "
                                    "--model-control explicit");
                     },
                     nullptr});
}

// `serve(call, In)` takes the parsed message.
template <class In, class Serve>
void add_parsed(transport::GrpcMethods& methods, const Parts& parts, const std::string& path,
                Serve serve) {
  add_method(methods, parts, path,
             [serve](const transport::GrpcCallPtr& call, std::string_view message) {
               In in;
               if (!in.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
                 return call->finish(Code::kInvalidArgument,
                                     "the message is not a valid " + in.GetTypeName());
               }
               serve(call, in);
             });
}

// `make(In)` answers the message to reply with, or an error.
template <class In, class Make>
void add_unary(transport::GrpcMethods& methods, const Parts& parts, const std::string& path,
               Make make) {
  add_parsed<In>(methods, parts, path, [make](const transport::GrpcCallPtr& call, const In& in) {
    const auto out = make(in);
    if (!out) return end_call(call, out.error());
    call->reply(out->SerializeAsString());
  });
}

}  // namespace sluice::frontends
