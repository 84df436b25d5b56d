// How all replicas send users the same way at the same time: what the one that decides publishes
// and the others follow. Of releases.h.
#include <algorithm>

#include "base/log.h"
#include "release/json_state.h"
#include "release/releases.h"

namespace sluice::release {
namespace {

using Millis = std::chrono::milliseconds;

// Between a change and when it holds: every replica has heard of it by then, so that all follow it
// at the same time and no user is sent back and forth. What takes a version back waits for less.
constexpr Millis kAgreed{1000};
constexpr Millis kRescue{300};
// So long before it holds all must have heard of it, or it is put off: those that have heard of it
// hear of that in time.
constexpr Millis kLastWord{400};
// How long a release that begins waits for replicas that load its versions.
constexpr Millis kLoading{10'000};
constexpr Millis kLookAgain{250};
// After the store has lost the newest of what it had: whoever leads then has told by that time what
// holds.
constexpr Millis kToldAgain{4000};

// Of a store that is a copy which was behind.
bool is_older(const Published& published, const Published& known) {
  if (published.number >= known.number) return false;
  const auto text = parsed(published.text);
  const auto followed = parsed(known.text);
  const auto revision = count_in(text, "revision");
  const auto newest = count_in(followed, "revision");
  return revision < newest ||
         (revision == newest && count_in(text, "epoch") < count_in(followed, "epoch"));
}

}  // namespace

void Releases::route(RunningRelease& release) {
  if (link_ == nullptr) return repository_.set_route(release.model(), release.route());
  const auto& name = release.model().str();
  // Who does not stay with a version has nothing to be sent back to.
  const auto later = !release.policy().sticky()              ? Millis(0)
                     : release.state() == State::kRolledBack ? kRescue
                                                             : kAgreed;
  const auto at = now_millis() + later.count();
  const auto text = text_of(json{{"revision", release.revision},
                                 {"epoch", release.epoch()},
                                 {"at", at},
                                 {"document", release.document()}});
  const auto number = store_->fleet()->publish(link_->token(), name, text);
  if (!number) return step_down(number.error());
  release.published = *number;
  release.holds_from = at;
  followed_[name] = {name, *number, text};
  route_at(at, release.model(), release.route());
}

// A replica that is cut off just before a step would send users back to where they were for as long
// as it does not hear of it.
void Releases::postpone(RunningRelease& release) {
  const Millis left(release.holds_from - now_millis());
  const bool steps =
      release.patient && release.policy().sticky() && release.state() != State::kRolledBack;
  if (!steps || left <= Millis(0) || left > kLastWord) return;
  if (!link_->everybody_heard(release.published)) route(release);
}

void Releases::publish_end(const ModelName& model, const Gone& gone) {
  const auto at = now_millis() + kAgreed.count();
  const auto text = text_of(
      json{{"gone", true}, {"revision", gone.revision}, {"at", at}, {"declared", gone.declared}});
  const auto number = store_->fleet()->publish(link_->token(), model.str(), text);
  if (!number) return step_down(number.error());
  followed_[model.str()] = {model.str(), *number, text};
  follow_end(model, gone, at);
}

// A release begins where everybody can follow it: who lacked a version would send its users
// elsewhere.
void Releases::await_all(const ModelName& model, const std::vector<VersionName>& versions,
                         std::move_only_function<void()> then) {
  if (link_ == nullptr || !leading_) return then();
  const auto known = followed_.find(model.str());
  json text = known == followed_.end() ? json{{"none", true}} : parsed(known->second.text);
  text["prepare"] = json::array();
  for (const auto& version : versions) text["prepare"].push_back(version.str());
  const auto number = store_->fleet()->publish(link_->token(), model.str(), text_of(text));
  if (!number) {
    step_down(number.error());
    return then();
  }
  followed_[model.str()] = {model.str(), *number, text_of(text)};
  awaited_.push_back({*number, Clock::now() + kLoading, std::move(then)});
}

void Releases::begin_awaited() {
  std::vector<Awaited> ready;
  std::erase_if(awaited_, [&](Awaited& awaited) {
    const bool done = !leading_ || Clock::now() >= awaited.until ||
                      (link_->connected() && link_->present_follow(awaited.number));
    if (done) ready.push_back(std::move(awaited));
    return done;
  });
  for (auto& awaited : ready) awaited.then();
}

// Until they are loaded, or cannot be, this replica has not heard of it. A version may not be in
// its repository yet.
void Releases::prepare(Preparing what) {
  const auto model = what.model;
  auto versions = what.versions;
  repository_.need(model, std::move(versions), [this, what](const Result<void>& loaded) {
    thread_.post([this, what, missing = !loaded && loaded.error().code == Code::kNotFound] {
      if (missing && Clock::now() < what.until && !closing_) {
        return thread_.post_at(Clock::now() + kLookAgain, [this, what] { prepare(what); });
      }
      preparing_.erase(what.number);
      say_heard();
    });
  });
}

void Releases::say_heard() {
  link_->heard(preparing_.empty() ? newest_heard_
                                  : std::min(newest_heard_, *preparing_.begin() - 1));
}

void Releases::follow(const Published& published) {
  newest_heard_ = std::max(newest_heard_, published.number);
  Published& known = followed_[published.model];
  const bool first = known.text.empty();
  if (leading_ || (known.number == published.number && known.text == published.text)) return;
  if (is_older(published, known)) return follow_later(published);
  known = published;
  const auto text = parsed(published.text);
  const auto model = ModelName::parse(published.model);
  if (!model || !text.is_object()) {
    log::error(
        "what the replica that decides says of a model cannot be read: is it of another "
        "version?");
    return;
  }
  if (const auto& wanted = part_of(text, "prepare"); wanted.is_array() && !wanted.empty()) {
    Preparing what{published.number, *model, {}, Clock::now() + kLoading};
    for (const auto& name : wanted) {
      if (!name.is_string()) continue;
      if (auto version = VersionName::parse(name.get<std::string>())) {
        what.versions.push_back(std::move(*version));
      }
    }
    preparing_.insert(what.number);
    prepare(std::move(what));
  }
  if (flag_in(text, "none")) return;
  const WallMillis at = first ? 0 : static_cast<WallMillis>(count_in(text, "at"));
  if (flag_in(text, "gone")) {
    const Gone gone{count_in(text, "revision"), text_in(text, "declared")};
    if (const auto* release = find(model->str())) by_id_.erase(release->id());
    releases_.erase(model->str());
    gone_[model->str()] = gone;
    return follow_end(*model, gone, at);
  }
  auto release = from_document(*model, part_of(text, "document"), count_in(text, "revision"));
  if (!release) {
    log::error(
        "model " + model->str() +
        ": what the replica that decides says cannot be followed: " + release.error().message);
    return;
  }
  (*release)->restore(part_of(text, "document"), json());
  const auto* const before = find(model->str());
  const bool another = before == nullptr || before->revision != (*release)->revision;
  const auto& kept = keep(std::move(*release));
  if (another) {
    log::info("model " + model->str() + ": follows revision " + std::to_string(kept.revision) +
              " of its " + kept.spec().policy + ", " + std::string(word_of(kept.state())));
  }
  route_at(at, kept.model(), kept.route());
}

// What this replica follows is newer: it is what holds if this one leads next, and else whoever
// leads may know it too.
void Releases::follow_later(const Published& published) {
  const bool planned = put_off_.contains(published.model);
  put_off_[published.model] = {published, followed_[published.model].number};
  if (planned) return;
  thread_.post_at(Clock::now() + kToldAgain, [this, model = published.model] {
    const auto put_off = put_off_.extract(model).mapped();
    const auto known = followed_.find(model);
    const bool same = known != followed_.end() && known->second.number == put_off.followed;
    if (leading_ || closing_ || !same) return;
    // While the store is away everybody goes on with what he follows.
    if (!link_->connected()) return follow_later(put_off.published);
    known->second.number = 0;  // then it is newer
    follow(put_off.published);
  });
}

// At that time of the store, unless something newer has been published by then.
void Releases::route_at(WallMillis at, const ModelName& model, std::shared_ptr<const Route> route) {
  at_time(at, model, [this, model, route = std::move(route)]() mutable {
    repository_.set_route(model, std::move(route));
  });
}

void Releases::follow_end(const ModelName& model, const Gone& gone, WallMillis at) {
  at_time(at, model, [this, model, gone] { set_end(model, gone); });
}

// On a thread of its own, which never waits for the store: all replicas are to be as punctual as
// their machines allow.
void Releases::at_time(WallMillis at, const ModelName& model, Worker::Task task) {
  auto& newest = newest_[model.str()];
  if (newest == nullptr) newest = std::make_shared<std::atomic<std::uint64_t>>(0);
  const auto number = followed_[model.str()].number;
  newest->store(number);
  const auto when = link_->clock().local(at);
  if (when <= Clock::now()) return task();
  punctual_.post_at(when, [newest, number, task = std::move(task)]() mutable {
    if (newest->load() == number) task();
  });
}

}  // namespace sluice::release
