#include "serving/pipeline.h"

#include <algorithm>
#include <array>

#include "base/name_list.h"
#include "base/text.h"
#include "base/turn.h"
#include "serving/late.h"

namespace sluice::serving {
namespace {

constexpr std::size_t kShownModels = 20;

std::string list_models(const ServingTable& table) {
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : table.models) names.push_back(name);
  return names.empty() ? "there are none" : "there is " + name_list(names, kShownModels);
}

Failure no_default(const ServingTable& table) {
  if (table.models.empty()) {
    return not_found("unknown_model", "no model is served here; put one into the repository");
  }
  return not_found("unknown_model",
                   "there is no default model: name one in the path, such as /models/" +
                       table.models.begin()->first + "/predict; " + list_models(table));
}

Failure no_version(const ModelEntry& entry, std::string_view version) {
  std::vector<std::string> names;
  for (const auto& known : entry.versions) names.push_back(known.name.str());
  return not_found("unknown_version", "model '" + entry.name.str() + "' has no version '" +
                                          printable(version) + "'" +
                                          (names.empty() ? "" : "; it has " + name_list(names)));
}

Failure not_ready(const std::string& what) {
  return unavailable("not_ready",
                     what + " is not ready: it is being loaded, failed to load or is unloaded");
}

// Why nothing of the model, or this version of it, can answer.
Failure not_ready(const ModelEntry& entry, const VersionEntry* version) {
  std::string what = "model '" + entry.name.str() + "'";
  if (version != nullptr) what += " version '" + version->name.str() + "'";
  if (version == nullptr && !entry.versions.empty()) version = &entry.versions.back();
  std::string why = entry.reason;
  if (why.empty() && version != nullptr && version->state == VersionState::kFailed) {
    why = version->reason;
  }
  if (why.empty()) return not_ready(what);
  return unavailable("model_failed", what + " cannot be served: " + why);
}

Failure cold(const std::string& model) {
  return unavailable("cold", "model '" + model + "' is loaded with its first prediction");
}

// The name is the servable's own: it ends with it.
void put_on(Request& request, std::shared_ptr<const Servable> servable) {
  request.servable = std::move(servable);
  request.model = request.servable->model().str();
}

}  // namespace

RequestPtr Pipeline::new_request() const {
  auto request = make_request();
  request->arrived = std::chrono::steady_clock::now();
  request->observers = &observers_;
  request->onward = this;
  return request;
}

Result<std::shared_ptr<const Servable>> Pipeline::find(std::string_view model,
                                                       std::string_view version) const {
  const auto& table = *tables_.read();
  if (model.empty()) model = table.default_model;
  if (model.empty()) return table.loading ? not_ready("the server") : no_default(table);
  const ModelEntry* entry = table.find(model);
  if (entry == nullptr) {
    if (table.loading) return not_ready("the server");
    return not_found("unknown_model",
                     "there is no model '" + printable(model) + "'; " + list_models(table));
  }
  if (version.empty()) {
    if (entry->cold) return cold(entry->name.str());
    if (entry->ready.empty()) return not_ready(*entry, nullptr);
    if (entry->policy == nullptr) return not_ready(*entry, nullptr);
    return entry->ready[entry->policy->usual()];
  }
  const VersionEntry* found = entry->find(version);
  if (found == nullptr) return no_version(*entry, version);
  if (!found->servable) {
    if (found->cold) return cold(entry->name.str());
    return not_ready(*entry, found);
  }
  return found->servable;
}

void Pipeline::find_or_load(std::string_view model, std::string_view version, TimePoint deadline,
                            Turn* turn, OnDemand::Then then) const {
  auto found = find(model, version);
  if (found || found.error().reason != kCold) return then(std::move(found));
  if (model.empty()) model = tables_.read()->default_model;
  on_demand_.want(model, version, deadline, [turn, then = std::move(then)](auto loaded) mutable {
    if (turn == nullptr) return then(std::move(loaded));
    turn->post([then = std::move(then), loaded = std::move(loaded)]() mutable {
      then(std::move(loaded));
    });
  });
}

void Pipeline::take_aim(Request& request, std::shared_ptr<const Servable> servable,
                        std::string_view version) const {
  put_on(request, std::move(servable));
  // A copy: another version may answer in its place.
  if (!version.empty()) request.version = request.arena.copy(request.servable->version().str());
}

Result<void> Pipeline::aim(Request& request, std::string_view model,
                           std::string_view version) const {
  SLUICE_TRY(auto servable, find(model, version));
  take_aim(request, std::move(servable), version);
  return request.servable->admit(request.deadline);
}

void Pipeline::wait_for_model(RequestPtr request, std::string_view model, std::string_view version,
                              Decode decode) const {
  const auto deadline = request->deadline;
  Turn* turn = request->turn;
  find_or_load(model, version, deadline, turn,
               [this, request = std::move(request), version = std::string(version),
                decode = std::move(decode)](auto loaded) mutable {
                 if (!loaded) return finish(std::move(request), std::move(loaded).error());
                 take_aim(*request, std::move(*loaded), version);
                 if (auto decoded = decode(*request); !decoded) {
                   return finish(std::move(request), std::move(decoded).error());
                 }
                 submit(std::move(request));
               });
}

void Pipeline::sweep() const {
  const auto now = std::chrono::steady_clock::now();
  const auto table = tables_.read();  // shared: what a sweep resumes may read the table anew
  for (const auto& [name, entry] : table->models) {
    for (const auto& servable : entry->ready) servable->sweep(now);
  }
  if (explainer_ != nullptr) explainer_->sweep(now);
}

// kAgain: from `fit` on, with another version.
enum class Step { kNext, kFinish, kWait, kAgain };

// Each stage looks at the request and says how it goes on. A stage that says kWait has taken it.
struct Stages {
  using Go = Step (*)(const Pipeline&, RequestPtr&);

  static Step refuse(RequestPtr& request, Error error) {
    request->reply.error = std::move(error);
    return Step::kFinish;
  }

  // The model's policy chooses a version, unless the client named one.
  static Step route(const Pipeline& pipeline, RequestPtr& request) {
    if (!request->version.empty()) return Step::kNext;
    const auto& table = *pipeline.tables_.read();
    const ModelEntry* entry = table.find(request->model);
    // Taken out of the table since it was aimed at: the lease from then still answers.
    if (entry == nullptr || entry->ready.empty()) return Step::kNext;
    if (entry->policy == nullptr) return Step::kNext;
    request->choice = entry->policy->choose({request->user_id});
    if (request->choice.version >= entry->ready.size()) {
      return refuse(request,
                    internal("the routing policy chose a version that is not there").error());
    }
    put_on(*request, entry->ready[request->choice.version]);
    // Shared only where it is looked at again, after the answer.
    if (!entry->policy->shadows().empty())
      request->shadowed = table.models.find(request->model)->second;
    return Step::kNext;
  }

  // Features of the entities that the request names.
  static Step fetch(const Pipeline&, RequestPtr& request) {
    if (request->ask == nullptr) return Step::kNext;
    request->fetch_began = std::chrono::steady_clock::now();
    if (!request->servable->fetch(request)) return Step::kWait;
    return request->reply.error ? Step::kFinish : Step::kNext;
  }

  // Inputs were decoded for one version; another may take them differently. Then the one check of
  // types, shapes and sizes that every front end's requests go through.
  static Step fit(const Pipeline&, RequestPtr& request) {
    if (request->ask != nullptr) return join(request);
    const Signature& signature = request->servable->signature();
    const bool same = request->bound_to == signature.fingerprint && request->bound_to != 0;
    if (!same && request->rebind != nullptr) {
      if (auto bound = request->rebind(*request, signature); !bound) {
        request->misfit = request->bound_to != 0;
        return refuse(request, std::move(bound).error());
      }
      request->bound_to = signature.fingerprint;
    }
    return check(request);
  }

  // Fetched features, as this version takes them. What a store does not have or cannot give is
  // nobody's fault here: a release learns nothing from it.
  static Step join(RequestPtr& request) {
    auto joined = request->servable->join(*request);
    if (joined) {
      request->bound_to = request->servable->signature().fingerprint;
      return check(request);
    }
    request->choice.release = 0;
    return refuse(request, std::move(joined).error());
  }

  static Step check(RequestPtr& request) {
    const Signature& signature = request->servable->signature();
    auto rows = check_inputs(signature, request->inputs, request->may_split_rows);
    if (!rows) return refuse(request, std::move(rows).error());
    request->rows = *rows;
    if (!request->explain) return Step::kNext;
    if (auto able = explainable(*request); !able) return refuse(request, std::move(able).error());
    return Step::kNext;
  }

  // Bounds and anomalies, of what the model would really see.
  static Step guard(const Pipeline& pipeline, RequestPtr& request) {
    // Bounds belong to the model: the version that is fallen back to has the same.
    if (request->fell_back) return Step::kNext;
    return heed(pipeline, request, request->servable->guard_inputs(*request));
  }

  // Nobody is served by a run whose answer comes too late.
  static Step wanted(const Pipeline&, RequestPtr& request) {
    request->submitted = std::chrono::steady_clock::now();
    if (!is_late(*request, request->submitted)) return Step::kNext;
    return refuse(request, late_error(*request));
  }

  // Answered before, or being answered for an equal request right now?
  static Step recall(const Pipeline&, RequestPtr& request) {
    switch (request->servable->recall(request)) {
      case Servable::Recall::kWaits: return Step::kWait;
      case Servable::Recall::kAnswered: request->stage = kAnswered; break;
      case Servable::Recall::kMiss: break;
    }
    return Step::kNext;
  }

  // An equal request that was waited for may have brought the answer.
  static Step run(const Pipeline&, RequestPtr& request) {
    if (request->reply.answered) {
      request->stage = kAnswered;
      return Step::kNext;
    }
    return request->servable->run(request) ? Step::kNext : Step::kWait;
  }

  // Is the answer one that may be given?
  static Step vet(const Pipeline& pipeline, RequestPtr& request) {
    return heed(pipeline, request, request->servable->guard_outputs(*request));
  }

  static Step remember(const Pipeline&, RequestPtr& request) {
    request->servable->remember(*request);
    return Step::kNext;
  }

  // What a client asked to know beside the answer.
  static Step describe(const Pipeline&, RequestPtr& request) {
    if (request->debug) request->servable->describe(*request);
    return Step::kNext;
  }

  // Behind `remember`, so that no equal request waits for it.
  static Step explain(const Pipeline& pipeline, RequestPtr& request) {
    if (!request->explain || pipeline.explainer_ == nullptr) return Step::kNext;
    if (request->fell_back && request->reply.outputs.empty()) {
      request->warnings.emplace_back("there is no explanation: the model did not give this answer");
      return Step::kNext;
    }
    return pipeline.explainer_->explain(request) ? Step::kNext : Step::kWait;
  }

  static constexpr std::array<Go, 11> kOrder = {route, fetch, fit,      guard,   wanted,  recall,
                                                run,   vet,   remember, explain, describe};
  static constexpr std::uint8_t kFit = 2;       // where those go on that fall back
  static constexpr std::uint8_t kAnswered = 9;  // and those that have an answer already
  static_assert(kOrder[kFit] == fit && kOrder[kAnswered] == explain);

 private:
  static Step heed(const Pipeline& pipeline, RequestPtr& request, Servable::Guarded said) {
    switch (said) {
      case Servable::Guarded::kPasses: return Step::kNext;
      case Servable::Guarded::kRefused: return Step::kFinish;
      case Servable::Guarded::kFallsBack: break;
    }
    const Fallback* fallback = request->servable->fallback();
    // A version that is fallen back to is not guarded by falling back once more.
    if (fallback == nullptr || request->fell_back) return Step::kFinish;
    request->fell_back = true;
    // What was asked was wrong, not the version: the release learns nothing from it.
    if (!request->unsound) request->choice.release = 0;
    return fallback->version.empty() ? answer_with(*fallback, *request)
                                     : fall_back_to(pipeline, fallback->version, *request);
  }

  static Step fall_back_to(const Pipeline& pipeline, std::string_view version, Request& request) {
    const ModelEntry* entry = pipeline.tables_.read()->find(request.model);
    const VersionEntry* found = entry == nullptr ? nullptr : entry->find(version);
    if (found == nullptr || found->servable == nullptr || found->servable == request.servable) {
      request.reply.error->message += "; the version to fall back to is not ready";
      return Step::kFinish;
    }
    request.warnings.push_back("version '" + std::string(version) +
                               "' answered instead: " + request.reply.error->message);
    request.lead = nullptr;  // who waits for the same answer runs for itself
    put_on(request, found->servable);
    request.reply = {};
    return Step::kAgain;
  }

  static Step answer_with(const Fallback& fallback, Request& request) {
    // A tensor would have to be made up.
    if (!request.wants_prediction) return Step::kFinish;
    request.warnings.push_back("guard.fallback answered instead: " + request.reply.error->message);
    request.reply = {};
    auto values = request.arena.array<double>(request.rows);
    auto confidences = request.arena.array<double>(request.rows);
    std::ranges::fill(values, *fallback.prediction);
    std::ranges::fill(confidences, fallback.confidence);
    Prediction& prediction = request.reply.prediction;
    prediction.rows = request.rows;
    prediction.values = values;
    prediction.confidences = confidences;
    request.reply.answered = true;
    request.stage = kAnswered;
    return Step::kNext;
  }
};

void Pipeline::submit(RequestPtr request) const {
  while (request->stage < Stages::kOrder.size()) {
    if (request->reply.error) {  // of a stage that kept it for a while
      if (request->lead != nullptr) request->servable->remember(*request);
      break;
    }
    switch (Stages::kOrder[request->stage++](*this, request)) {
      case Step::kNext: break;
      case Step::kWait: return;
      case Step::kAgain: request->stage = Stages::kFit; break;
      case Step::kFinish: return finish(std::move(request));
    }
  }
  finish(std::move(request));
}

}  // namespace sluice::serving
