// One request on its way, from decoded bytes to its answer.
//
// A Request has exactly one owner and moves forward: front end → pipeline → (queue) → front end.
// Whoever holds it must either pass it on or `finish` it. Destroying an unanswered one answers
// "dropped", so no reply is ever lost, and the continuation runs exactly once.
//
// Its arena holds everything that is decoded from or computed for it; views in it may also point
// into the receive buffer, which the continuation keeps alive.
//
// Thread-safety: one owner, one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "core/feature_ask.h"
#include "core/observer.h"
#include "core/policy.h"
#include "core/prediction.h"
#include "core/signature.h"
#include "core/tensor.h"

namespace sluice {

class Servable;
struct DebugInfo;
struct Explanation;
struct FetchedRows;
struct ModelEntry;
class Turn;
struct Request;

using TimePoint = std::chrono::steady_clock::time_point;

// By which way in a request came.
enum class Protocol : std::uint8_t {
  kInside,  // of ours: no client's
  kSimpleRest,
  kSimpleGrpc,
  kOipRest,
  kOipGrpc,
  kTfServing
};
inline constexpr std::size_t kProtocols = 6;
// As metrics and logs call it.
std::string_view word_of(Protocol protocol);

// Where a request stands in its caller's trace (W3C Trace Context).
struct TraceContext {
  std::array<std::byte, 16> trace{};
  std::uint64_t parent = 0;  // the caller's span; 0: the trace begins here
  std::uint64_t span = 0;    // ours
  std::string_view state;    // the caller's `tracestate`; in the arena
};

struct Reply {
  bool answered = false;  // what follows is the answer: without it the request was dropped
  std::optional<Error> error;
  std::span<TensorView> outputs;             // in the order of the signature's outputs
  Prediction prediction;                     // filled when the request asked for it
  std::shared_ptr<const DebugInfo> debug;    // when the request asked for it
  const Explanation* explanation = nullptr;  // in the request's arena, when it asked for it
};

// What a request that others wait for holds; its end is theirs to hear of.
class Lead {
 public:
  virtual ~Lead() = default;
};

struct FinishRequest {
  void operator()(Request* request) const noexcept;
};
using RequestPtr = std::unique_ptr<Request, FinishRequest>;

// Where a request goes on that a stage has kept for a while.
class Onward {
 public:
  virtual ~Onward() = default;
  // Any thread; takes the request for good.
  virtual void resume(RequestPtr request) const = 0;
};

struct Request {
  // Memory of finished requests is kept by their thread for the next ones: blocks of this size
  // would otherwise be merged and split by malloc each time.
  static void* operator new(std::size_t bytes);
  static void operator delete(void* memory) noexcept;

  Arena arena;

  // Who and what is asked for.
  std::string_view model;
  std::string_view version;  // empty: the model's policy chooses
  std::string_view request_id;
  std::string_view user_id;
  std::string_view entity_id;
  std::string_view cache_key;
  std::optional<double> true_label;
  bool debug = false;
  bool explain = false;
  // Whole rows that an explanation compares with, in place of the version's own.
  std::span<const double> background;
  Protocol protocol = Protocol::kInside;
  const TraceContext* trace = nullptr;  // in the arena; null: it is not traced
  // The simple protocols want outputs interpreted; tensor protocols take them as they are.
  bool wants_prediction = false;
  // The client sent a list of rows and expects lists back.
  bool many_rows = false;

  // Features that are fetched for it, or were: whose they are and what was sent with them. Null:
  // its inputs were sent.
  std::unique_ptr<const FeatureAsk> ask;
  std::shared_ptr<const FetchedRows> fetched;  // by `ask`
  // Of the values in `inputs`, row after row, in the order of the columns: nanoseconds since 1970;
  // 0: it was sent, or nobody knows. Empty where nothing was fetched.
  std::span<const std::int64_t> feature_times;
  // Both of them as JSON, where that is known already; `fetched` keeps it.
  std::string_view features_told;
  std::string_view times_told;

  // When it got where; stages write them, observers read them. Zero: it never did.
  TimePoint arrived{};
  TimePoint fetch_began{};  // when it waits for features
  TimePoint fetch_ended{};
  TimePoint submitted{};
  TimePoint run_began{};
  TimePoint run_ended{};
  std::size_t run_rows = 0;  // of the batch that it ran in; 0: it ran alone, or never

  TimePoint deadline = TimePoint::max();
  // Becomes true when nobody waits for the answer any more; null: that cannot be known.
  const std::atomic<bool>* cancelled = nullptr;
  std::uint64_t priority = 0;  // 0: the model's default, 1: the highest

  // Inputs in the order of the signature that they were read for.
  std::span<TensorView> inputs;
  std::size_t rows = 0;
  std::uint64_t bound_to = 0;  // that signature's fingerprint
  // Reads the inputs again for another version's signature, from the receive buffer.
  Result<void> (*rebind)(Request&, const Signature&) = nullptr;
  const void* payload = nullptr;  // the codec's own, for `rebind` and for the answer
  std::string_view body;
  // A model that takes one row at a time may be given these rows one after the other.
  bool may_split_rows = false;
  // Inputs were lengthened from this length to that one (`batching.pad`); 0: they were not.
  std::int64_t unpadded = 0;
  std::int64_t padded = 0;

  std::vector<std::string> warnings;

  // Set by routing: the version that answers, kept loaded until the request is gone.
  std::shared_ptr<const Servable> servable;
  Choice choice;  // of the model's policy; its release is 0 where a version was named
  // The model as it was then, where versions of it are to be asked too once the answer has left.
  std::shared_ptr<const ModelEntry> shadowed;
  // What `before_answer` kept of it for `on_finish`.
  std::shared_ptr<void> aside;
  // It fitted the version that it was read for, and not the one that the release chose.
  bool misfit = false;
  bool unsound = false;    // its answer broke the output guard
  bool fell_back = false;  // a guard has sent it to another version
  std::uint8_t stage = 0;
  const Onward* onward = nullptr;
  // The event loop's turn that it came in with, for what is done together at its end; null where
  // there is no loop.
  Turn* turn = nullptr;

  // Equal requests wait for this one's answer.
  std::unique_ptr<Lead> lead;
  bool from_cache = false;  // the answer was given before

  Reply reply;
  // Memory beside the arena that the reply lies in: of a batch, or of a cached answer.
  std::shared_ptr<const void> kept;
  // Called exactly once with this request, on whatever thread finishes it; must not throw. (A
  // pointer, because g++ 12 wants reference parameters to be complete types here.)
  std::move_only_function<void(Request*)> on_done;
  const Observers* observers = nullptr;  // told once, after `on_done`
};

// Made by the Pipeline (`Pipeline::new_request`), which sets who observes it.
RequestPtr make_request();

// Who asks; the text must live as long as the request. Errors: kInvalidArgument/`bad_user_id` where
// it is empty (all who have no name would be one user) or has more than 256 bytes.
Result<void> set_user(Request& request, std::string_view user);

// Answers with what is in `reply` and lets the request go.
inline void finish(RequestPtr request) { request.reset(nullptr); }

// Answers with an error.
void finish(RequestPtr request, Error error);

}  // namespace sluice
