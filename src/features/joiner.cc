#include "features/joiner.h"

#include <algorithm>

#include "base/text.h"
#include "features/convert.h"
#include "features/row_join.h"

namespace sluice::features {
namespace {

using Clock = std::chrono::steady_clock;

// A request's longest wait in a Clock that may be asked for the end of time.
TimePoint due_of(const Request& request, std::chrono::milliseconds timeout) {
  return std::min(request.deadline, request.fetch_began + timeout);
}

// model.yaml was changed while the request was on its way.
Error changed() {
  return {Code::kUnavailable,
          "features_changed",
          "the features of this model have been changed while the request was read; send it again",
          {}};
}

// The release learns nothing from what a store does not give.
void refuse(Request& request, Error error) {
  request.choice.release = 0;
  request.reply.error = std::move(error);
}

}  // namespace

Error trouble_error(Trouble trouble, const std::string& store, std::chrono::milliseconds timeout) {
  const std::string who = "feature store '" + store + "'";
  switch (trouble) {
    case Trouble::kLate:
      return {Code::kDeadlineExceeded,
              "features_timeout",
              who + " did not answer within " + std::to_string(timeout.count()) +
                  " ms (features.timeout); try again",
              {}};
    case Trouble::kBusy:
      return {Code::kUnavailable,
              "features_busy",
              "too many entities wait for " + who + "; try again later",
              {}};
    case Trouble::kBroken:
      return {Code::kUnavailable,
              "bad_store",
              who + " answers, but not as it should: the server's log says more",
              {}};
    case Trouble::kDown:
    case Trouble::kNone: break;
  }
  return {Code::kUnavailable, "store_unavailable", who + " cannot be reached; try again later", {}};
}

Result<std::unique_ptr<const Joiner>> Joiner::make(const FeatureOptions& options,
                                                   Signature& signature, bool columns_declared,
                                                   Fetcher& fetcher) {
  SLUICE_TRY(auto plan, Plan::make(options, signature, columns_declared));
  std::vector<std::shared_ptr<const ReadLookup>> lookups;
  for (const auto& lookup : plan.lookups) {
    SLUICE_TRY(auto prepared, fetcher.prepare(lookup));
    lookups.push_back(std::move(prepared));
  }
  return std::unique_ptr<const Joiner>(new Joiner(std::move(plan), fetcher, std::move(lookups)));
}

Joiner::Joiner(Plan plan, Fetcher& fetcher, std::vector<std::shared_ptr<const ReadLookup>> lookups)
    : plan_(std::move(plan)),
      fetcher_(fetcher),
      lookups_(std::move(lookups)),
      lookup_ids_(lookup_ids()),
      usual_(needed_lookups(std::vector<bool>(plan_.names.size(), false))),
      keys_are_texts_(std::ranges::all_of(plan_.options.entity.list, [](const EntityKey& key) {
        return key.type == KeyType::kText;
      })) {
  FetchedFeatures told;
  told.keys = plan_.options.entity.list;
  told.names = plan_.names;
  told.most_rows = static_cast<std::size_t>(plan_.options.max_entities);
  told_ = std::make_shared<const FetchedFeatures>(std::move(told));
}

Result<void> Joiner::check_entities(const FeatureAsk& ask) const {
  if (keys_are_texts_) return {};
  const auto& keys = plan_.options.entity.list;
  for (std::size_t i = 0; i < ask.entities.size(); ++i) {
    const auto& key = keys[i % keys.size()];
    if (key.type != KeyType::kText) SLUICE_CHECK(key_number(ask.entities[i], key));
  }
  return {};
}

std::vector<std::uint64_t> Joiner::lookup_ids() const {
  std::vector<std::uint64_t> out;
  for (const auto& lookup : lookups_) out.push_back(lookup->id);
  return out;
}

// `done`: sent, or marked already.
void Joiner::mark_needed(std::size_t feature, std::vector<bool>& done,
                         std::vector<bool>& lookups) const {
  if (done[feature]) return;
  done[feature] = true;
  if (feature < plan_.sources.size()) {
    lookups[plan_.sources[feature].lookup] = true;
    return;
  }
  const Recipe& recipe = plan_.recipes[feature - plan_.sources.size()];
  mark_needed(recipe.first, done, lookups);
  mark_needed(recipe.second, done, lookups);
}

std::vector<bool> Joiner::needed_lookups(std::vector<bool> sent) const {
  std::vector<bool> out(lookups_.size(), false);
  for (const auto& column : plan_.columns) mark_needed(column.feature, sent, out);
  return out;
}

Joiner::Missing Joiner::recall(const FeatureAsk& ask, TimePoint now, FetchedRows& fetched) const {
  Missing out;
  if (ask.entities.empty()) return out;
  const Fetcher::Terms terms{plan_.options.ttl, plan_.options.negative_ttl};
  const bool keeps_old = plan_.options.unavailable == UnavailableAction::kStale;
  const std::size_t keys = plan_.options.entity.list.size();
  std::vector<bool> needed;
  std::vector<std::string_view> entity;
  auto given = ask.given.begin();
  for (std::size_t row = 0; row < ask.rows; ++row) {
    const bool sent_some = given != ask.given.end() && given->row == row;
    if (sent_some) {
      std::vector<bool> sent(plan_.names.size(), false);
      for (; given != ask.given.end() && given->row == row; ++given) sent[given->feature] = true;
      needed = needed_lookups(std::move(sent));
    }
    for (std::size_t lookup = 0; lookup < lookups_.size(); ++lookup) {
      if (!(sent_some ? needed : usual_)[lookup]) continue;
      entity.clear();
      for (const auto key : plan_.key_places[lookup]) {
        entity.push_back(ask.entities[row * keys + key]);
      }
      const std::size_t place = lookup * ask.rows + row;
      auto known = fetcher_.recall(*lookups_[lookup], entity, terms, now);
      if (known.fresh) {
        fetched.rows[place] = std::move(known.row);
        continue;
      }
      out.wants.push_back({lookups_[lookup], known.key, packed(entity), place});
      if (!keeps_old || known.row == nullptr || !known.row->known) continue;
      out.old.resize(fetched.rows.size());
      out.old[place] = std::move(known.row);
    }
  }
  return out;
}

bool Joiner::fetch(RequestPtr& request) const {
  const FeatureAsk& ask = *request->ask;
  if (ask.of != told_ && !told_->reads_as(*ask.of)) {
    refuse(*request, changed());
    return true;
  }
  if (auto checked = check_entities(ask); !checked) {
    refuse(*request, std::move(checked).error());
    return true;
  }
  auto fetched = std::make_shared<FetchedRows>();
  fetched->lookups = lookup_ids_;
  fetched->rows.resize(lookups_.size() * ask.rows);
  auto missing = recall(ask, request->fetch_began, *fetched);
  if (missing.wants.empty()) {
    request->fetched = std::move(fetched);
    request->fetch_ended = request->fetch_began;  // it did not wait
    return true;
  }
  auto gathering = std::make_shared<Gathering>();
  gathering->fetched = std::move(fetched);
  for (const auto& want : missing.wants) gathering->needed.push_back(want.place);
  gathering->old = std::move(missing.old);
  gathering->joiner = this;
  gathering->due = due_of(*request, plan_.options.timeout);
  gathering->request = std::move(request);
  if (fetcher_.fetch(gathering, std::move(missing.wants)) == Fetcher::Began::kWaits) return false;
  settle(*gathering);
  request = std::move(gathering->request);
  return true;
}

void Joiner::settle(Gathering& gathering) const {
  FetchedRows& fetched = *gathering.fetched;
  Request& request = *gathering.request;
  // What arrived may be looked at where all of it has; else somebody still writes there.
  const bool all_arrived = gathering.missing.load(std::memory_order_acquire) == 0;
  bool missing = false;
  for (const auto place : gathering.needed) {
    auto& row = fetched.rows[place];
    if (row == nullptr && all_arrived && !gathering.arrived.empty()) {
      row = std::move(gathering.arrived[place]);
    }
    if (row == nullptr && !gathering.old.empty() && gathering.old[place] != nullptr) {
      row = std::move(gathering.old[place]);
      fetched.old = true;
    }
    missing = missing || row == nullptr;
  }
  fetched.trouble = gathering.trouble.load();
  request.fetch_ended = Clock::now();
  // Else defaults stand in, where there are any.
  if (missing && plan_.options.unavailable == UnavailableAction::kReject) {
    refuse(request, trouble_error(fetched.trouble, fetcher_.name(), plan_.options.timeout));
  }
  request.fetched = gathering.fetched;
}

Result<void> Joiner::join(Request& request, const Signature& signature) const {
  const auto* const fetched = request.fetched.get();
  const bool ours = request.ask->of == told_ || told_->reads_as(*request.ask->of);
  if (!ours || (fetched != nullptr && fetched->lookups != lookup_ids_)) return Failure(changed());
  return RowJoin(plan_, fetcher_.name(), signature, request).run();
}

}  // namespace sluice::features
