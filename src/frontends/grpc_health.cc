#include "frontends/grpc_health.h"

#include <algorithm>
#include <vector>

#include "grpc/health.pb.h"

namespace sluice::frontends {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using transport::GrpcCallPtr;
using Status = HealthCheckResponse::ServingStatus;

class Health {
 public:
  Health(const transport::GrpcMethods& methods, const ServingTables& tables)
      : methods_(methods), tables_(tables) {}

  Status status(const std::string& service) const {
    const auto names = methods_.services();
    if (!service.empty() && std::ranges::find(names, service) == names.end()) {
      return HealthCheckResponse::SERVICE_UNKNOWN;
    }
    const auto& table = *tables_.read();
    return table.healthy() && !table.draining ? HealthCheckResponse::SERVING
                                              : HealthCheckResponse::NOT_SERVING;
  }

 private:
  const transport::GrpcMethods& methods_;
  const ServingTables& tables_;
};

std::string encode(Status status) {
  HealthCheckResponse response;
  response.set_status(status);
  return response.SerializeAsString();
}

class Watcher;

// This thread's watchers.
std::vector<Watcher*>& watchers() {
  thread_local std::vector<Watcher*> list;
  return list;
}

class Watcher final : public transport::GrpcStream {
 public:
  Watcher(const Health& health, GrpcCallPtr call) : health_(health), call_(std::move(call)) {}
  ~Watcher() override { std::erase(watchers(), this); }

  void on_message(std::string message) override {
    HealthCheckRequest request;
    if (watching_ || !request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_->finish(Code::kInvalidArgument, "Watch takes one HealthCheckRequest");
    }
    service_ = request.service();
    watching_ = true;
    watchers().push_back(this);
    tell();
  }
  void on_half_close() override {
    if (!watching_) call_->finish(Code::kInvalidArgument, "Watch takes one HealthCheckRequest");
  }
  void on_cancel() override { std::erase(watchers(), this); }

  // A watcher hears of the end, and must not put it off.
  void on_drain() override {
    tell();
    std::erase(watchers(), this);
    call_->finish(Code::kUnavailable, "the server is shutting down");
  }

  void tell() {
    const Status now = health_.status(service_);
    if (told_ && now == last_) return;
    told_ = true;
    last_ = now;
    call_->send(encode(now));
  }

 private:
  const Health& health_;
  GrpcCallPtr call_;
  std::string service_;
  bool watching_ = false;
  bool told_ = false;
  Status last_ = HealthCheckResponse::UNKNOWN;
};

void check(const Health& health, const GrpcCallPtr& call, std::string_view message) {
  HealthCheckRequest request;
  if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    return call->finish(Code::kInvalidArgument, "the message is not a HealthCheckRequest");
  }
  const Status status = health.status(request.service());
  if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
    return call->finish(Code::kNotFound, "there is no service with this name");
  }
  call->reply(encode(status));
}

}  // namespace

void add_grpc_health(transport::GrpcMethods& methods, const ServingTables& tables) {
  const auto health = std::make_shared<const Health>(methods, tables);
  methods.add("/grpc.health.v1.Health/Check",
              {[health](const GrpcCallPtr& call, std::string_view message) {
                 check(*health, call, message);
               },
               nullptr});
  methods.add("/grpc.health.v1.Health/Watch", {nullptr, [health](GrpcCallPtr call) {
                                                 return std::make_unique<Watcher>(*health,
                                                                                  std::move(call));
                                               }});
}

void tick_grpc_health() {
  const auto list = watchers();  // a copy: telling may end a watcher
  for (Watcher* watcher : list) watcher->tell();
}

}  // namespace sluice::frontends
