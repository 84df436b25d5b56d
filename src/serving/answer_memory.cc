#include "serving/answer_memory.h"

#include <array>
#include <chrono>
#include <optional>

#include "base/keyed_hash.h"
#include "serving/batcher.h"

namespace sluice::serving {
namespace {

using Clock = std::chrono::steady_clock;

CacheKey key_of(const KeyedHash& hash) {
  const auto digest = hash.digest();
  return {digest.high, digest.low};
}

void add_inputs(const Request& request, KeyedHash& hash) {
  for (const auto& input : request.inputs) {
    hash.add(&input.dtype, sizeof(input.dtype));
    hash.add(input.shape.dims().data(), input.shape.dims().size_bytes());
    hash.add(input.data.data(), input.data.size());
    for (const auto text : input.strings) hash.add(text);
  }
}

CacheKey key_of_name(const Request& request) {
  KeyedHash hash;
  hash.add(request.cache_key);
  // An answer of other rows would not fit the question.
  hash.add(&request.rows, sizeof(request.rows));
  // Nor would one of features that have changed since, under a name that has not.
  if (request.ask != nullptr) add_inputs(request, hash);
  return key_of(hash);
}

CacheKey key_of_content(const Request& request) {
  KeyedHash hash;
  add_inputs(request, hash);
  return key_of(hash);
}

}  // namespace

// Whoever leads lands, however it ends: with its last breath if nobody did before.
class AnswerMemory::Lead final : public sluice::Lead {
 public:
  Lead(AnswerMemory& memory, std::shared_ptr<const Servable> lease, const CacheKey& key)
      : memory_(memory), lease_(std::move(lease)), key_(key) {}
  ~Lead() override {
    if (!landed_) memory_.land(key_, nullptr);
  }
  void land(const std::shared_ptr<const CachedAnswer>& answer) {
    landed_ = true;
    memory_.land(key_, answer);
  }
  void fail(const Error& error) {
    landed_ = true;
    auto waited = memory_.flights_.land(key_);
    for (auto& request : waited) request->reply.error = error;
    hand_back(waited);
  }
  const CacheKey& key() const { return key_; }

 private:
  AnswerMemory& memory_;
  const std::shared_ptr<const Servable> lease_;  // keeps the memory
  const CacheKey key_;
  bool landed_ = false;
};

AnswerMemory::AnswerMemory(const CacheOptions& options, const Execution& execution)
    : content_(options.content),
      execution_(execution),
      cache_(static_cast<std::size_t>(options.capacity),
             static_cast<std::size_t>(options.max_bytes.value), options.ttl) {}

Servable::Recall AnswerMemory::recall(RequestPtr& request) {
  if (request->cache_key.empty() && !content_) return Servable::Recall::kMiss;
  const auto key = request->cache_key.empty() ? key_of_content(*request) : key_of_name(*request);
  if (auto answer = cache_.find(key, request->submitted)) {
    use(std::move(answer), *request);
    return Servable::Recall::kAnswered;
  }
  const auto lease = request->servable;
  switch (flights_.join(key, request)) {
    case Join::kWaits: return Servable::Recall::kWaits;
    case Join::kLead: request->lead = std::make_unique<Lead>(*this, lease, key); break;
    case Join::kAlone: break;
  }
  execution_.tally().missed(Clock::now() - request->submitted);
  return Servable::Recall::kMiss;
}

void AnswerMemory::remember(Request& request) {
  if (request.lead == nullptr) return;
  auto& lead = static_cast<Lead&>(*request.lead);
  if (request.reply.error) {
    // What the engine says of these inputs it would say again; anything else is this request's own.
    if (request.reply.error->code != Code::kInternal) return;
    lead.fail(*request.reply.error);
    request.lead = nullptr;
    return;
  }
  const auto answer = CachedAnswer::copy_of(request.reply.outputs);
  cache_.put(lead.key(), answer, Clock::now());
  lead.land(answer);
  request.lead = nullptr;
}

void AnswerMemory::use(std::shared_ptr<const CachedAnswer> answer, Request& request) const {
  const auto outputs = answer->outputs();
  request.reply.outputs = request.arena.array<TensorView>(outputs.size());
  std::ranges::copy(outputs, request.reply.outputs.begin());
  request.kept = std::move(answer);
  request.from_cache = true;
  request.run_began = request.run_ended = Clock::now();
  if (auto predicted = execution_.predict(request); !predicted) {
    request.reply.error = std::move(predicted).error();
    return;
  }
  request.reply.answered = true;
}

// Those that waited are answered, or where there is no answer look again: one of them leads.
void AnswerMemory::land(const CacheKey& key, const std::shared_ptr<const CachedAnswer>& answer) {
  auto waited = flights_.land(key);
  for (auto& request : waited) {
    if (answer != nullptr) {
      use(answer, *request);
    } else {
      --request->stage;
    }
  }
  hand_back(waited);
}

void AnswerMemory::sweep(TimePoint now) { hand_back_late(flights_.take_late(now)); }

}  // namespace sluice::serving
