#include "core/request.h"

#include <utility>

namespace sluice {

void FinishRequest::operator()(Request* request) const noexcept {
  const std::unique_ptr<Request> owned(request);
  if (auto done = std::exchange(owned->on_done, nullptr)) {
    auto& reply = owned->reply;
    if (!reply.error && reply.outputs.empty()) {
      reply.error = Error{Code::kUnavailable,
                          "dropped",
                          "the request was dropped before it was answered; send it again",
                          {}};
    }
    done(owned.get());
  }
}

RequestPtr make_request() { return RequestPtr(new Request); }

void finish(RequestPtr request, Error error) {
  request->reply.error = std::move(error);
  finish(std::move(request));
}

}  // namespace sluice
