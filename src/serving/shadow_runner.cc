#include "serving/shadow_runner.h"

#include <algorithm>
#include <cstring>

#include "base/log.h"
#include "serving/shadow_line.h"

namespace sluice::serving {
namespace {

// The destructor's patience with what runs.
constexpr Millis kLastGrace{500};

std::size_t bytes_of(const TensorView& tensor) {
  std::size_t out = tensor.data.size();
  for (const auto text : tensor.strings) out += sizeof(text) + text.size();
  return out;
}

std::size_t bytes_of(std::span<const TensorView> tensors) {
  std::size_t out = 0;
  for (const auto& tensor : tensors) out += bytes_of(tensor);
  return out;
}

template <class T>
std::span<const T> copied(std::span<const T> from, Arena& arena) {
  auto out = arena.array<T>(from.size());
  std::ranges::copy(from, out.begin());
  return out;
}

std::span<const std::string_view> copied_texts(std::span<const std::string_view> from,
                                               Arena& arena) {
  auto out = arena.array<std::string_view>(from.size());
  std::ranges::transform(from, out.begin(), [&](auto text) { return arena.copy(text); });
  return out;
}

TensorView copied(const TensorView& from, Arena& arena) {
  TensorView out = from;
  if (from.dtype == DType::kString) {
    out.strings = copied_texts(from.strings, arena);
  } else {
    out.data = copied(from.data, arena);
  }
  return out;
}

// The rows that are compared.
Prediction copied(const Prediction& from, Arena& arena) {
  Prediction out = from;
  const std::size_t width = from.width();
  const std::size_t classes = from.rows == 0 ? 0 : from.probabilities.size() / from.rows;
  const std::size_t rows = std::min(from.rows, ShadowComparison::kMostRows);
  out.integers = nullptr;
  out.values = copied(from.values.first(rows * width), arena);
  out.confidences = copied(from.confidences.first(std::min(rows, from.confidences.size())), arena);
  out.probabilities = copied(from.probabilities.first(rows * classes), arena);
  out.labels = copied_texts(from.labels.first(std::min(rows, from.labels.size())), arena);
  out.rows = rows;
  return out;
}

// The prediction that the simple protocols would give, whatever protocol asked.
Result<Prediction> prediction_of(const Request& request, Arena& arena) {
  if (request.wants_prediction) return copied(request.reply.prediction, arena);
  SLUICE_TRY(const auto made,
             request.servable->interpret(request.reply.outputs, request.rows, arena));
  return copied(made, arena);
}

std::optional<double> alone_ms(const Request& request) {
  // A batch's reply lies beside the request, and so does one from the cache.
  if (request.from_cache || request.kept != nullptr || request.run_began == TimePoint{}) {
    return std::nullopt;
  }
  return std::chrono::duration<double, std::milli>(request.run_ended - request.run_began).count();
}

// The versions that are to be asked with what `request` asked.
template <class Visit>
void each_shadow(const Request& request, Visit visit) {
  const ModelEntry& entry = *request.shadowed;
  if (entry.policy == nullptr) return;
  for (const auto index : entry.policy->shadows()) {
    if (index >= entry.ready.size() || entry.ready[index] == request.servable) continue;
    visit(entry.ready[index]);
  }
}

class ShadowObserver final : public Observer {
 public:
  explicit ShadowObserver(const ShadowRunner& runner) : runner_(runner) {}
  void before_answer(Request& request) const noexcept override {
    if (request.shadowed) request.aside = runner_.copy(request);
  }
  void on_finish(const Request& request) const noexcept override {
    if (request.aside == nullptr) return;
    runner_.offer(request, std::static_pointer_cast<ShadowCase>(request.aside));
  }

 private:
  const ShadowRunner& runner_;
};

}  // namespace

ShadowRunner::ShadowRunner(const ServingTables& tables, ShadowOptions options)
    : tables_(tables), options_(options), lines_(std::make_shared<const Lines>()) {}

ShadowRunner::~ShadowRunner() { close(kLastGrace); }

std::shared_ptr<ShadowLine> ShadowRunner::find(const Servable& servable) const {
  for (const auto& line : *lines_.read()) {
    if (line->is_of(servable) && !line->ended()) return line;
  }
  return nullptr;
}

// The version's line, made with its first request. Threads that answer requests may wait for each
// other then; no idle one ever has this lock. Null: there is no thread to be had, or it is over.
std::shared_ptr<ShadowLine> ShadowRunner::open(
    const std::shared_ptr<const Servable>& servable) const {
  if (auto found = find(*servable)) return found;
  const std::lock_guard lock(mutex_);
  if (closed_) return nullptr;
  auto next = std::make_shared<Lines>(*lines_.get());
  for (const auto& line : *next) {
    if (line->is_of(*servable) && !line->ended()) return line;  // another thread's
  }
  const std::string& model = servable->model().str();
  auto line = std::make_shared<ShadowLine>(servable, options_);
  auto started = line->start([&tables = tables_, model, weak = std::weak_ptr(servable)] {
    const auto mine = weak.lock();
    const auto table = tables.get();
    const ModelEntry* entry = table->find(model);
    if (mine == nullptr || entry == nullptr || entry->policy == nullptr) return false;
    return std::ranges::any_of(entry->policy->shadows(), [&](std::size_t index) {
      return index < entry->ready.size() && entry->ready[index] == mine;
    });
  });
  if (!started) return nullptr;
  std::erase_if(*next, [](const auto& each) {
    if (!each->ended()) return false;
    each->forget();
    return true;
  });
  next->push_back(line);
  lines_.publish(std::move(next));
  return line;
}

std::shared_ptr<ShadowCase> ShadowRunner::copy(const Request& request) const {
  if (closed_) return nullptr;
  const bool usable = request.reply.answered && !request.reply.error && request.padded == 0;
  const std::size_t bytes = usable ? bytes_of(request.inputs) + bytes_of(request.reply.outputs) : 0;
  const std::size_t lines = lines_.read()->size();
  bool wanted = false;
  each_shadow(request, [&](const auto& servable) {
    const auto line = open(servable);
    if (line == nullptr) return;
    if (!usable) return line->count_skipped();
    if (bytes > options_.max_request_bytes) return line->count_large();
    // One that is counted as full here is not offered again: the copy would be for nothing.
    if (line->has_room(lines, bytes)) {
      wanted = true;
    }
  });
  if (!usable || bytes > options_.max_request_bytes) return nullptr;
  if (!wanted) {
    each_shadow(request, [&](const auto& servable) {
      if (const auto line = find(*servable)) line->count_full();
    });
    return nullptr;
  }
  auto out = std::make_shared<ShadowCase>();
  auto prediction = prediction_of(request, out->arena);
  if (!prediction) {
    each_shadow(request, [&](const auto& servable) {
      if (const auto line = find(*servable)) line->count_skipped();
    });
    return nullptr;
  }
  out->prediction = *prediction;
  out->inputs = out->arena.array<TensorView>(request.inputs.size());
  std::ranges::transform(request.inputs, out->inputs.begin(),
                         [&](const TensorView& tensor) { return copied(tensor, out->arena); });
  out->rows = request.rows;
  out->may_split_rows = request.may_split_rows;
  out->bound_to = request.bound_to;
  out->servable = request.servable;
  out->tolerance = request.shadowed->policy->tolerance();
  out->request_id = out->arena.copy(request.request_id);
  out->primary_ms = alone_ms(request);
  out->bytes = bytes + sizeof(ShadowCase);
  return out;
}

void ShadowRunner::offer(const Request& request, std::shared_ptr<ShadowCase> shared) const {
  shared->queued = std::chrono::steady_clock::now();
  shared->at = std::chrono::system_clock::now();
  const std::size_t lines = lines_.read()->size();
  each_shadow(request, [&](const auto& servable) {
    if (const auto line = find(*servable)) line->push(shared, lines);
  });
}

std::vector<std::pair<VersionName, ShadowCounts>> ShadowRunner::counts(
    const ModelEntry& entry) const {
  std::vector<std::pair<VersionName, ShadowCounts>> out;
  if (entry.policy == nullptr) return out;
  for (const auto index : entry.policy->shadows()) {
    if (index >= entry.ready.size()) continue;
    const auto line = find(*entry.ready[index]);
    out.emplace_back(entry.ready[index]->version(), line ? line->counts() : ShadowCounts());
  }
  std::ranges::sort(out, {}, [](const auto& each) -> const VersionName& { return each.first; });
  return out;
}

std::vector<ShadowStatus> ShadowRunner::status(const ModelEntry& entry) const {
  std::vector<ShadowStatus> out;
  if (entry.policy == nullptr) return out;
  for (const auto index : entry.policy->shadows()) {
    if (index >= entry.ready.size()) continue;
    ShadowStatus one{entry.ready[index]->version(), {}, {}, {}};
    if (const auto line = find(*entry.ready[index])) {
      one.counts = line->counts();
      one.report = line->comparison().report();
      one.host = line->host_status();
    }
    out.push_back(std::move(one));
  }
  std::ranges::sort(out, {}, &ShadowStatus::version);
  return out;
}

bool ShadowRunner::close(Millis grace) {
  std::shared_ptr<const Lines> lines;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    lines = lines_.get();
    lines_.publish(std::make_shared<const Lines>());
  }
  const auto until = std::chrono::steady_clock::now() + grace;
  for (const auto& line : *lines) line->close();
  bool ended = true;
  for (const auto& line : *lines) ended = line->join_until(until) && ended;
  if (!ended) log::warn("a shadow version's run does not end; it is left behind");
  return ended;
}

std::unique_ptr<const Observer> make_shadow_observer(const ShadowRunner& runner) {
  return std::make_unique<ShadowObserver>(runner);
}

}  // namespace sluice::serving
