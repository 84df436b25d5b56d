#include "core/request.h"

#include <array>
#include <new>
#include <utility>

namespace sluice {
namespace {

// A thread's blocks, freed with it.
struct Blocks {
  std::array<void*, 256> blocks{};  // as many as a turn of a busy loop may bring
  std::size_t count = 0;
  ~Blocks() {
    while (count > 0) ::operator delete(blocks[--count], std::align_val_t(alignof(Request)));
  }
};

Blocks& blocks() {
  thread_local Blocks own;
  return own;
}

}  // namespace

void* Request::operator new(std::size_t bytes) {
  Blocks& own = blocks();
  if (own.count > 0) return own.blocks[--own.count];
  return ::operator new(bytes, std::align_val_t(alignof(Request)));
}

void Request::operator delete(void* memory) noexcept {
  Blocks& own = blocks();
  if (own.count < own.blocks.size()) {
    own.blocks[own.count++] = memory;
  } else {
    ::operator delete(memory, std::align_val_t(alignof(Request)));
  }
}

std::string_view word_of(Protocol protocol) {
  static constexpr std::array<std::string_view, kProtocols> kWords = {
      "inside", "simple_rest", "simple_grpc", "oip_rest", "oip_grpc", "tfserving_rest"};
  return kWords[static_cast<std::size_t>(protocol)];
}

void FinishRequest::operator()(Request* request) const noexcept {
  const std::unique_ptr<Request> owned(request);
  if (auto done = std::exchange(owned->on_done, nullptr)) {
    auto& reply = owned->reply;
    if (!reply.error && !reply.answered) {
      reply.error = Error{Code::kUnavailable,
                          "dropped",
                          "the request was dropped before it was answered; send it again",
                          {}};
    }
    if (owned->observers != nullptr) {
      for (const auto& observer : *owned->observers) observer->before_answer(*owned);
    }
    done(owned.get());
    if (owned->observers == nullptr) return;
    for (const auto& observer : *owned->observers) observer->on_finish(*owned);
  }
}

RequestPtr make_request() { return RequestPtr(new Request); }

Result<void> set_user(Request& request, std::string_view user) {
  constexpr std::size_t kMost = 256;
  if (user.empty() || user.size() > kMost) {
    return invalid("bad_user_id",
                   "the user id must have 1 to 256 bytes; leave it out where nobody is known");
  }
  request.user_id = user;
  return {};
}

void finish(RequestPtr request, Error error) {
  request->reply.error = std::move(error);
  finish(std::move(request));
}

}  // namespace sluice
