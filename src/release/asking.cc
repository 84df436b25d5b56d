// What people ask of releases: the answering half of releases.h.
#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/text.h"
#include "release/json_state.h"
#include "release/option_types.h"
#include "release/releases.h"
#include "release/wall_clock.h"
#include "routing/newest.h"

namespace sluice::release {
namespace {

constexpr std::size_t kHistory = 200;
// Who is quick tells of a request before it has come to its end here: then it is looked for again.
constexpr std::array<std::chrono::milliseconds, 2> kLookAgain = {std::chrono::milliseconds(50),
                                                                 std::chrono::milliseconds(200)};
constexpr int kMostWaiting = 256;

Failure no_model(const std::string& model) {
  return not_found("unknown_model", "there is no model '" + printable(model) + "'");
}

Failure no_release(const std::string& model) {
  return not_found("no_release", "model '" + printable(model) +
                                     "' has no release; PUT /api/models/" + printable(model) +
                                     "/release starts one");
}

// Who only looks is answered with what this replica knows where whoever leads says nothing.
Releases::Answer or_own(std::function<Result<json>()> own, Releases::Answer answer) {
  return [own = std::move(own), answer = std::move(answer)](const Result<json>& result) mutable {
    const bool nobody = !result && result.error().reason == "no_leader";
    answer(nobody ? own() : result);
  };
}

json number_of(const std::optional<std::uint64_t>& number) {
  return number ? json(*number) : json();
}

std::string with_article(const std::string& word) {
  const bool vowel = std::string_view("aeiou").contains(word.empty() ? ' ' : word[0]);
  return (vowel ? "an " : "a ") + word;
}

}  // namespace

std::uint64_t Releases::revision_of(const std::string& model) const {
  const auto found = releases_.find(model);
  if (found != releases_.end()) return found->second->revision;
  const auto gone = gone_.find(model);
  return gone == gone_.end() ? 0 : gone->second.revision;
}

Result<void> Releases::check_revision(const std::string& model,
                                      std::optional<std::uint64_t> given) const {
  const auto now = revision_of(model);
  if (!given || *given == now) return {};
  return fail(Code::kAborted, "revision_conflict",
              "the release has revision " + std::to_string(now) + ", not " +
                  std::to_string(*given) + ": somebody has changed it; look at it and try again");
}

// Where only shadows are named, the version that serves goes on alone.
Result<Spec> Releases::complete(const ModelEntry& entry, Spec spec) const {
  if (!spec.policy.empty()) return spec;
  const auto shadow = [&](const VersionName& version) {
    return std::ranges::find(spec.shadows, version) != spec.shadows.end();
  };
  std::string serves;
  if (entry.policy != nullptr && !shadow(entry.ready[entry.policy->usual()]->version())) {
    serves = entry.ready[entry.policy->usual()]->version().str();
  }
  for (auto it = entry.ready.rbegin(); it != entry.ready.rend(); ++it) {
    if (serves.empty() && !shadow((*it)->version())) serves = (*it)->version().str();
  }
  if (serves.empty()) {
    return invalid("bad_release", "a shadow needs another version beside it that serves users");
  }
  auto document = spec.document;
  document["policy"] = "split";
  document["weights"] = {{serves, 1.0}};
  return parse_spec(document);
}

void Releases::put(std::string model, json body, std::optional<std::uint64_t> revision,
                   Answer answer) {
  thread_.post([this, model = std::move(model), body = std::move(body), revision,
                answer = std::move(answer)]() mutable {
    if (forward(
            {{"ask", "put"}, {"model", model}, {"body", body}, {"revision", number_of(revision)}},
            answer)) {
      return;
    }
    auto spec = parse_spec(body);
    if (!spec) return answer(Failure(spec.error()));
    if (revision) spec->revision = revision;
    const auto table = tables_.get();
    const auto* entry = table->find(model);
    const std::string declared = entry != nullptr && entry->config.release
                                     ? canonical_text(json_of(*entry->config.release))
                                     : std::string();
    begin_put(model, std::move(*spec), "api", declared, std::move(answer));
  });
}

void Releases::begin_put(const std::string& model, Spec spec, std::string source,
                         std::string declared, Answer answer) {
  if (closing_) return answer(unavailable("draining", "the server is shutting down"));
  if (auto same = check_revision(model, spec.revision); !same) return answer(Failure(same.error()));
  const auto table = tables_.get();
  const auto* entry = table->find(model);
  if (entry == nullptr) return answer(no_model(model));
  auto whole = complete(*entry, std::move(spec));
  if (!whole) return answer(Failure(whole.error()));
  const auto policy = policies_.make(*whole);
  if (!policy) return answer(Failure(policy.error()));
  std::vector<VersionName> needed = (*policy)->arms();
  needed.insert(needed.end(), whole->shadows.begin(), whole->shadows.end());
  busy_.push_back(model);
  repository_.need(
      entry->name, needed,
      [this, name = entry->name, needed, spec = std::move(*whole), expected = revision_of(model),
       source = std::move(source), declared = std::move(declared),
       answer = std::move(answer)](const Result<void>& loaded) mutable {
        thread_.post([this, name, needed = std::move(needed), spec = std::move(spec), expected,
                      source = std::move(source), declared = std::move(declared),
                      answer = std::move(answer), loaded]() mutable {
          const auto not_busy = [this, name] {
            const auto busy = std::ranges::find(busy_, name.str());
            if (busy != busy_.end()) busy_.erase(busy);
          };
          if (!loaded) {
            not_busy();
            return answer(Failure(loaded.error()));
          }
          await_all(
              name, needed,
              [this, not_busy, name, spec = std::move(spec), expected, source = std::move(source),
               declared = std::move(declared), answer = std::move(answer)]() mutable {
                not_busy();
                finish_put(name, std::move(spec), expected, std::move(source), std::move(declared),
                           std::move(answer));
              });
        });
      });
}

void Releases::finish_put(const ModelName& model, Spec spec, std::uint64_t expected,
                          std::string source, std::string declared, Answer answer) {
  if (!leads()) {
    return answer(unavailable("no_leader",
                              "this replica has stopped deciding for the others while the versions "
                              "were loaded; nothing was changed, try again"));
  }
  // Somebody else may have been quicker while the versions were loaded.
  const std::optional<std::uint64_t> wanted = spec.revision ? spec.revision : expected;
  if (auto same = check_revision(model.str(), wanted); !same) return answer(Failure(same.error()));
  auto policy = policies_.make(spec);
  if (!policy) return answer(Failure(policy.error()));
  auto salt = source == "file" ? declared_salt(declared) : random_salt();
  auto release = std::make_unique<RunningRelease>(model, std::move(spec), std::move(*policy),
                                                  expected + 1, std::move(salt), std::move(source));
  take_outcomes();
  auto* before = find(model.str());
  if (before != nullptr) release->keep_users_of(*before);
  if (const auto table = tables_.get(); const auto* entry = table->find(model.str())) {
    const auto& arms = release->policy().arms();
    const auto* stable = entry->find(arms[release->policy().stable()].str());
    if (stable != nullptr && stable->servable != nullptr) {
      const auto [bursts, requests] = stable->servable->tally().bursts();
      release->policy().learn(bursts, requests);
    }
  }
  release->revision = expected;
  release->declared = std::move(declared);
  const std::string whose = release->source() == "file" ? "model.yaml" : "hand";
  Decision start{"start",
                 "Started " + with_article(release->spec().policy) + " by " + whose + ".",
                 State::kRunning,
                 {}};
  if (before != nullptr && release->changes_shadows_of(*before)) {
    release->go_on(*before);
    start = {"change",
             "Changed the shadows by " + whose + ": all else goes on as it was.",
             release->state(),
             {}};
  }
  const auto written =
      write(*release, entry_of(*release, start, release->source(), release->weights()));
  if (!written) return answer(Failure(written.error()));
  if (before != nullptr) release->take_over_feedback(*before);
  archive_.begin_anew(model.str());
  log::info("model " + model.str() + ": " + start.reason);
  auto& installed = keep(std::move(release));
  (void)save(installed);
  route(installed);
  answer(status_of(installed));
}

void Releases::remove(std::string model, std::optional<std::uint64_t> revision, std::string by,
                      Answer answer) {
  thread_.post([this, model = std::move(model), revision, by = std::move(by),
                answer = std::move(answer)]() mutable {
    if (forward(
            {{"ask", "remove"}, {"model", model}, {"by", by}, {"revision", number_of(revision)}},
            answer)) {
      return;
    }
    RunningRelease* release = find(model);
    if (release == nullptr) return answer(no_release(model));
    if (auto same = check_revision(model, revision); !same) return answer(Failure(same.error()));
    const auto table = tables_.get();
    const auto* entry = table->find(model);
    const bool declares = entry != nullptr && entry->config.release;
    // What model.yaml says comes back where it was another's that is taken away.
    const bool comes_back = declares && release->source() != "file";
    Gone gone;
    if (declares && !comes_back) gone.declared = canonical_text(json_of(*entry->config.release));
    const Decision end{"remove",
                       comes_back ? "Removed: what model.yaml says holds again."
                                  : "Removed: the newest version takes the traffic again.",
                       State::kRunning,
                       {}};
    const auto entry_text = text_of(entry_of(*release, end, by, json::object()));
    auto written =
        store_->put("release", model, text_of({{"removed", true}, {"declared", gone.declared}}),
                    release->revision, JournalEntry{"release", model, entry_text});
    if (!written) {
      if (link_ != nullptr) step_down(written.error());
      return answer(Failure(written.error()));
    }
    gone.revision = *written;
    archive_.forget(model);
    const ModelName name = release->model();
    by_id_.erase(release->id());
    releases_.erase(model);
    this->end(name, std::move(gone));
    tell();
    log::info("model " + model + ": its release is removed");
    answer(without_release(model));
  });
}

void Releases::end(const ModelName& model, Gone gone) {
  if (link_ != nullptr) {
    publish_end(model, gone);
  } else {
    set_end(model, gone);
  }
  gone_[model.str()] = std::move(gone);
}

// The newest version takes everything, also where model.yaml still says something else.
void Releases::set_end(const ModelName& model, const Gone& gone) {
  repository_.set_route(model, gone.declared.empty() ? nullptr : routing::make_newest());
}

void Releases::command(std::string model, Command command, std::string version,
                       std::optional<std::uint64_t> revision, Answer answer) {
  thread_.post([this, model = std::move(model), command, version = std::move(version), revision,
                answer = std::move(answer)]() mutable {
    if (forward({{"ask", word_of(command)},
                 {"model", model},
                 {"version", version},
                 {"revision", number_of(revision)}},
                answer)) {
      return;
    }
    RunningRelease* release = find(model);
    if (release == nullptr) return answer(no_release(model));
    if (auto same = check_revision(model, revision); !same) return answer(Failure(same.error()));
    take_outcomes();
    const auto next = release->command(command, version);
    if (!next) return answer(Failure(next.error()));
    if (auto done = carry_out(*release, *next, "api"); !done) return answer(Failure(done.error()));
    answer(status_of(*release));
  });
}

json Releases::status_of(const RunningRelease& release) const {
  json out = release.status();
  out["history"] = history_of(release.model().str());
  if (link_ != nullptr) {
    const auto view = link_->view();
    out["fleet"] = {{"connected", view.connected}, {"leads", leads()}, {"replicas", view.replicas}};
    // What decide() waits for, where it is not the time alone.
    const bool waits = leads() && release.state() == State::kRunning && release.policy().sticky() &&
                       now_millis() >= release.holds_from &&
                       !link_->everybody_follows(release.published);
    out["fleet"]["waits"] = waits;
  }
  return out;
}

json Releases::history_of(const std::string& model) const {
  json out = json::array();
  const auto history = store_->journal("release", model, kHistory);
  if (!history) return out;
  for (const auto& entry : *history) {
    auto read = parsed(entry);
    if (read.is_object()) out.push_back(std::move(read));
  }
  return out;
}

Result<json> Releases::without_release(const std::string& model) const {
  const auto table = tables_.get();
  const auto* entry = table->find(model);
  if (entry == nullptr) return no_model(model);
  json weights = json::object();
  if (entry->policy != nullptr) {
    weights[entry->ready[entry->policy->usual()]->version().str()] = 1.0;
  }
  return json{{"model", model},
              {"policy", "none"},
              {"state", "running"},
              {"revision", revision_of(model)},
              {"weights", weights},
              {"arms", json::object()},
              {"history", history_of(model)}};
}

void Releases::status(std::string model, Answer answer) {
  thread_.post([this, model = std::move(model), answer = std::move(answer)]() mutable {
    const auto own = [this, model] {
      take_outcomes();
      const auto* release = find(model);
      return release != nullptr ? Result<json>(status_of(*release)) : without_release(model);
    };
    if (!shared() || leads()) return answer(own());
    link_->ask({{"ask", "status"}, {"model", model}}, or_own(own, std::move(answer)));
  });
}

void Releases::bandit(std::string model, Answer answer) {
  thread_.post([this, model = std::move(model), answer = std::move(answer)]() mutable {
    const auto own = [this, model]() -> Result<json> {
      take_outcomes();
      const auto* release = find(model);
      auto arms = release == nullptr ? json() : release->bandit();
      if (!arms.is_null()) return arms;
      if (tables_.get()->find(model) == nullptr) return no_model(model);
      return not_found("no_bandit", "model '" + model + "' has no bandit running");
    };
    if (!shared() || leads()) return answer(own());
    link_->ask({{"ask", "bandit"}, {"model", model}}, or_own(own, std::move(answer)));
  });
}

void Releases::feedback(std::string model, Feedback told, Answer answer) {
  thread_.post([this, model = std::move(model), told = std::move(told),
                answer = std::move(answer)]() mutable {
    if (link_ != nullptr) return link_->told(std::move(model), std::move(told), std::move(answer));
    look_for(std::move(model), std::move(told), std::move(answer), 0);
  });
}

void Releases::look_for(std::string model, Feedback told, Answer answer, std::size_t looks) {
  auto taken = take(model, told);
  const bool unknown = !taken && taken.error().reason == "unknown_request";
  if (!unknown || looks == kLookAgain.size() || waiting_ >= kMostWaiting) {
    return answer(std::move(taken));
  }
  ++waiting_;
  thread_.post_at(Clock::now() + kLookAgain[looks],
                  [this, model = std::move(model), told = std::move(told),
                   answer = std::move(answer), looks]() mutable {
                    --waiting_;
                    look_for(std::move(model), std::move(told), std::move(answer), looks + 1);
                  });
}

Result<json> Releases::take(const std::string& model, const Feedback& told, std::uint64_t place) {
  take_outcomes();
  for (auto& [name, release] : releases_) {
    if (!model.empty() && name != model) continue;
    if (place <= release->place) continue;  // it has been taken, in another's life
    const auto taken = release->feedback(told, now_millis());
    if (!taken && taken.error().reason == "unknown_request") continue;
    if (!taken) return Failure(taken.error());
    return json{{"request_id", told.request_id},
                {"model", name},
                {"model_version", release->policy().arms()[taken->arm].str()},
                {"probability", taken->probability},
                {"reward", taken->reward}};
  }
  return not_found("unknown_request",
                   "no prediction with this request_id waits for feedback" +
                       (model.empty() ? "" : " of model '" + printable(model) + "'"));
}

}  // namespace sluice::release
