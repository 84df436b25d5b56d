#include "frontends/grpc_reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>

#include "grpc/reflection_v1.pb.h"
#include "grpc/reflection_v1alpha.pb.h"

namespace sluice::frontends {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;
using transport::GrpcCallPtr;

// A file and everything that it imports, the file first.
void collect(const FileDescriptor* file, std::set<const FileDescriptor*>& seen,
             std::vector<std::string>& out) {
  if (!seen.insert(file).second) return;
  google::protobuf::FileDescriptorProto proto;
  file->CopyTo(&proto);
  out.push_back(proto.SerializeAsString());
  for (int i = 0; i < file->dependency_count(); ++i) collect(file->dependency(i), seen, out);
}

// The two versions of the protocol differ in their package alone.
template <class Request, class Response>
class Reflection final : public transport::GrpcStream {
 public:
  Reflection(const transport::GrpcMethods& methods, GrpcCallPtr call)
      : methods_(methods), call_(std::move(call)) {}

  void on_message(std::string message) override {
    Request request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_->finish(Code::kInvalidArgument, "the message is not a ServerReflectionRequest");
    }
    Response response;
    response.set_valid_host(request.host());
    *response.mutable_original_request() = request;
    answer(request, response);
    call_->send(response.SerializeAsString());
  }
  void on_half_close() override { call_->finish(Code::kOk, {}); }
  void on_cancel() override {}
  void on_drain() override { call_->finish(Code::kUnavailable, "the server is shutting down"); }

 private:
  void answer(const Request& request, Response& response) {
    const auto* pool = DescriptorPool::generated_pool();
    switch (request.message_request_case()) {
      case Request::kListServices:
        for (const auto& name : methods_.services()) {
          response.mutable_list_services_response()->add_service()->set_name(name);
        }
        return;
      case Request::kFileByFilename:
        return add_file(pool->FindFileByName(request.file_by_filename()), response);
      case Request::kFileContainingSymbol:
        return add_file(pool->FindFileContainingSymbol(request.file_containing_symbol()), response);
      default: return not_found(response);
    }
  }

  static void add_file(const FileDescriptor* file, Response& response) {
    if (file == nullptr) return not_found(response);
    std::set<const FileDescriptor*> seen;
    std::vector<std::string> files;
    collect(file, seen, files);
    for (auto& bytes : files) {
      response.mutable_file_descriptor_response()->add_file_descriptor_proto(std::move(bytes));
    }
  }

  static void not_found(Response& response) {
    auto* error = response.mutable_error_response();
    error->set_error_code(static_cast<int>(Code::kNotFound));
    error->set_error_message("there is no such file or symbol");
  }

  const transport::GrpcMethods& methods_;
  GrpcCallPtr call_;
};

template <class Request, class Response>
transport::GrpcMethod method(const transport::GrpcMethods& methods) {
  return {nullptr, [&methods](GrpcCallPtr call) {
            return std::make_unique<Reflection<Request, Response>>(methods, std::move(call));
          }};
}

}  // namespace

void add_grpc_reflection(transport::GrpcMethods& methods) {
  namespace v1 = grpc::reflection::v1;
  namespace v1alpha = grpc::reflection::v1alpha;
  methods.add("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
              method<v1::ServerReflectionRequest, v1::ServerReflectionResponse>(methods));
  methods.add("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              method<v1alpha::ServerReflectionRequest, v1alpha::ServerReflectionResponse>(methods));
}

}  // namespace sluice::frontends
