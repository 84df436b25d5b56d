// How the repository learns what there is: the looking half of repository.h.
#include <algorithm>

#include "base/log.h"
#include "base/text.h"
#include "repository/repository.h"
#include "repository/version_policy.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;

// How soon a hint of the source is followed, so that a hundred of them are one look.
constexpr std::chrono::milliseconds kHintDelay{50};
// Files that have not changed for so long are not being written, however rarely one looks.
constexpr std::chrono::milliseconds kLongestSettle{1000};

}  // namespace

Result<void> Repository::load_all() {
  auto first = first_.get_future();
  control_.post([this] {
    if (auto looked = look(Millis(0)); !looked) {
      first_done_ = true;
      return first_.set_value(looked);
    }
    finish_first();
    plan_look();
  });
  SLUICE_CHECK(first.get());
  const auto table = tables_.get();
  const auto& named = options_.live.default_model;
  if (!named.empty() && table->find(named) == nullptr) {
    return not_found("unknown_model",
                     "default_model is '" + printable(named) + "', but there is no such model");
  }
  for (const auto& name : options_.load_first) {
    if (options_.on_request && name != "*" && table->find(name) == nullptr) {
      return not_found("unknown_model",
                       "load_model names '" + printable(name) + "', but there is no such model");
    }
  }
  return {};
}

// The first round is over when nothing is being loaded any more.
void Repository::finish_first() {
  if (first_done_ || loading_ > 0) return;
  first_done_ = true;
  publish([&](ServingTable& table) {
    table.loading = false;
    // Having none is right where none was asked for.
    table.may_be_empty = options_.on_request && (options_.load_first.empty() || table.any_ready());
  });
  first_.set_value({});
}

void Repository::look_again() {
  if (closing_) return;
  if (auto looked = look(settle_time()); !looked && looked.error().message != last_trouble_) {
    last_trouble_ = looked.error().message;
    log::error("the models cannot be listed; what runs goes on: " + last_trouble_);
  } else if (looked) {
    last_trouble_.clear();
  }
}

// Where the source is looked at again and again: the next time, and hints in between.
void Repository::plan_look() {
  const auto plan = ++plan_;
  source_.watch(live_.poll ? std::function<void()>([this] { hint(); }) : nullptr);
  if (live_.poll) control_.post_at(Clock::now() + *live_.poll, [this, plan] { follow(plan); });
}

void Repository::follow(std::uint64_t plan) {
  if (plan != plan_ || closing_) return;  // another poll has been asked for meanwhile
  look_again();
  control_.post_at(Clock::now() + *live_.poll, [this, plan] { follow(plan); });
}

void Repository::change(LiveOptions live) {
  std::promise<void> changed;
  control_.post([this, live = std::move(live), &changed]() mutable {
    live_ = std::move(live);
    retry_all();
    plan_look();
    if (!closing_) look_twice();
    changed.set_value();
  });
  changed.get_future().wait();
}

// What failed may have failed by the options that were.
void Repository::retry_all() {
  for (auto& [name, model] : models_) {
    for (auto& [version, slot] : model.versions) {
      slot.failed.clear();
      slot.retry_at = {};
    }
  }
}

// How long files must stay as they are: less than a poll, so that two looks are enough.
Millis Repository::settle_time() const {
  return std::clamp(live_.poll.value_or(kLongestSettle) - kHintDelay, Millis(0), kLongestSettle);
}

// From any thread: something has changed.
void Repository::hint() {
  control_.post([this] {
    if (std::exchange(hinted_, true)) return;
    control_.post_at(Clock::now() + kHintDelay, [this] {
      hinted_ = false;
      if (!closing_) look_twice();
    });
  });
}

// Now, and once more when what was seen now has had the time to settle.
void Repository::look_twice() {
  look_again();
  control_.post_at(Clock::now() + settle_time() + kHintDelay, [this] {
    if (!closing_) look_again();
  });
}

void Repository::choose_default(const std::vector<WantedModel>& wanted) {
  auto name = live_.default_model;
  if (name.empty() && wanted.size() == 1) name = wanted[0].name.str();
  if (tables_.get()->default_model == name) return;
  publish([&](ServingTable& table) { table.default_model = name; });
}

Result<void> Repository::look(std::chrono::milliseconds settle, const std::string& only) {
  SLUICE_TRY(const auto wanted, source_.list());
  const auto now = Clock::now();
  choose_default(wanted);
  std::set<std::string> names;
  std::set<std::string> twice;
  for (const auto& model : wanted) {
    if (!names.insert(model.name.str()).second) twice.insert(model.name.str());
  }
  for (const auto& model : wanted) {
    const auto& name = model.name.str();
    if (only.empty() || only == name) note_model(model, twice.contains(name), now, settle);
  }
  for (auto it = models_.begin(); it != models_.end();) {
    if (names.contains(it->first) || (!only.empty() && only != it->first)) {
      ++it;
      continue;
    }
    // With explicit control nothing leaves unasked.
    if (options_.on_request && it->second.active) {
      it->second.gone = true;
      ++it;
      continue;
    }
    log::info("model " + it->first + " is gone");
    for (auto& [version, slot] : it->second.versions) let_go(it->first, slot);
    publish([&](ServingTable& table) { table.models.erase(it->first); });
    it = models_.erase(it);
  }
  start_loads(only);
  return {};
}

void Repository::note_model(const WantedModel& seen, bool twice, TimePoint now,
                            std::chrono::milliseconds settle) {
  const std::string& name = seen.name.str();
  const auto [found, fresh] =
      models_.try_emplace(name, ModelSlot{seen, {}, {}, true, false, false, {}});
  ModelSlot& model = found->second;
  if (fresh) model.active = wanted_first(name);
  WantedModel wanted = fresh ? seen : believe(model, seen, now, settle);
  if (wanted.problem.empty() && wanted.config.release) {
    if (auto route = declared_(wanted.name, *wanted.config.release); !route) {
      wanted.problem = "release: " + route.error().message;
    }
  }
  const bool changed = fresh || model.wanted.fingerprint != wanted.fingerprint ||
                       model.wanted.problem != wanted.problem || model.twice != twice;
  model.twice = twice;
  model.gone = false;
  model.wanted = wanted;
  if (options_.nothing_lazy) model.wanted.config.loading = {};
  if (changed) {
    for (const auto& warning : wanted.warnings) log::warn("model " + name + ": " + warning);
    if (!wanted.problem.empty()) {
      const bool runs = std::ranges::any_of(
          model.versions, [](const auto& each) { return each.second.servable != nullptr; });
      log::error("model " + name + (runs ? " goes on as it was: " : " is not served: ") +
                 wanted.problem);
    }
    if (twice) log::error("model " + name + ": it exists twice, as a file and as a directory");
  }
  if (note_versions(name, model, changed, now, settle) || changed) publish_model(name);
}

// True where something of them is another than before.
bool Repository::note_versions(const std::string& name, ModelSlot& model, bool tell, TimePoint now,
                               std::chrono::milliseconds settle) {
  const WantedModel& wanted = model.wanted;
  // A directory that cannot be read does not mean that its versions are gone.
  if (!wanted.problem.empty() && wanted.versions.empty()) return false;
  std::vector<VersionName> existing;
  for (const auto& version : wanted.versions) existing.push_back(version.name);
  auto chosen = choose_versions(existing, wanted.config.versions);
  const auto own = chosen.wanted;
  const auto needed = needed_versions(name);
  for (const auto& version : needed) {
    if (std::ranges::find(existing, version) == existing.end()) continue;
    const auto place = std::ranges::lower_bound(chosen.wanted, version);
    if (place == chosen.wanted.end() || *place != version) chosen.wanted.insert(place, version);
  }
  for (const auto& missing : chosen.missing) {
    if (tell) {
      log::warn("model " + name + ": version " + missing + " is named in model.yaml but not there");
    }
  }
  bool changed = false;
  for (const auto& version : chosen.wanted) {
    const auto seen = std::ranges::find(wanted.versions, version, &WantedVersion::name);
    const auto [slot, added] = model.versions.try_emplace(version, *seen);
    const bool other =
        note_look(slot->second, *seen, seen->fingerprint + "|" + wanted.fingerprint, now, settle);
    const bool is_needed = std::ranges::find(needed, version) != needed.end();
    const bool is_chosen = std::ranges::binary_search(own, version);
    changed = changed || added || other || is_needed != slot->second.needed ||
              is_chosen != slot->second.chosen;
    slot->second.needed = is_needed;
    slot->second.chosen = is_chosen;
  }
  for (auto it = model.versions.begin(); it != model.versions.end();) {
    VersionSlot& slot = it->second;
    if (std::ranges::binary_search(chosen.wanted, it->first)) {
      ++it;
    } else if (slot.servable != nullptr && !chosen.wanted.empty()) {
      // Also where its files are gone: others are to take over, and have yet to show that they can.
      changed = changed || !slot.retiring;
      slot.retiring = true;
      ++it;
    } else {
      log::info(title(name, slot.wanted) + " is gone");
      let_go(name, slot);
      it = model.versions.erase(it);
      changed = true;
    }
  }
  retire(name, model);
  return changed;
}

// A slot that is about to go: nobody waits for it in vain.
void Repository::let_go(const std::string& name, VersionSlot& slot) {
  *slot.abandoned = true;
  for (auto& guest : guests_.take(name, slot.wanted.name.str())) {
    guest.then(not_found("unknown_version", title(name, slot.wanted) + " is gone"));
  }
}

}  // namespace sluice::repository
