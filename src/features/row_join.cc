#include "features/row_join.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"
#include "core/features_used.h"
#include "features/joiner.h"
#include "features/recipes.h"

namespace sluice::features {
namespace {

const FeatureData kNull = Null{};
const FeatureData kAbsent = Absent{};

std::int64_t unix_now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string human_age(std::int64_t ns) {
  const std::int64_t seconds = ns / 1'000'000'000;
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 7200) return std::to_string(seconds / 60) + " min";
  if (seconds < 172'800) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " days";
}

}  // namespace

RowJoin::RowJoin(const Plan& plan, const std::string& store, const Signature& signature,
                 Request& request)
    : plan_(plan),
      store_(store),
      signature_(signature),
      request_(request),
      ask_(*request.ask),
      fetched_(request.fetched.get()),
      now_ns_(plan.has_ages ? unix_now() : 0) {}

Result<void> RowJoin::run() {
  const KeptRow* const plain = plain_row();
  if (plain != nullptr && use_ready(*plain)) return {};
  writer_.emplace(plan_, signature_, ask_.rows, request_.arena);
  times_ = request_.arena.array<std::int64_t>(ask_.rows * plan_.columns.size());
  cells_ = request_.arena.array<Cell>(plan_.names.size());
  made_.resize(plan_.recipes.size());
  const bool plain_rows = plan_.id != 0 && !plan_.has_ages && ask_.given.empty();
  for (std::size_t row = 0; row < ask_.rows; ++row) {
    if (!plain_rows || !write_plain(row)) SLUICE_CHECK(join_row(row));
  }
  request_.inputs = writer_->inputs();
  request_.rows = ask_.rows;
  request_.feature_times = times_;
  const std::size_t before = request_.warnings.size();
  warn();
  if (plain != nullptr && request_.warnings.size() == before) make_ready(*plain);
  return {};
}

const KeptRow* RowJoin::plain_row() const {
  const bool one = plan_.id != 0 && ask_.rows == 1 && ask_.given.empty() && fetched_ != nullptr;
  if (!one || fetched_->trouble != Trouble::kNone) return nullptr;
  const KeptRow* const row = fetched_->rows[0].get();
  return row != nullptr && row->known ? row : nullptr;
}

bool RowJoin::use_ready(const KeptRow& row) {
  const ReadyRow* const ready = row.ready();
  if (ready == nullptr || ready->plan != plan_.id || now_ns_ > ready->sound_until) return false;
  request_.inputs = request_.arena.array<TensorView>(ready->inputs.size());
  std::ranges::copy(ready->inputs, request_.inputs.begin());
  request_.rows = 1;
  request_.feature_times = ready->times;
  request_.features_told = ready->used;
  request_.times_told = ready->of_when;
  return true;
}

void RowJoin::make_ready(const KeptRow& row) const {
  if (row.ready() != nullptr) return;
  auto ready = std::make_unique<ReadyRow>();
  ready->plan = plan_.id;
  std::size_t size = 0;
  for (const auto& input : request_.inputs) size += (input.data.size() + 63) / 64 * 64;
  // Aligned as the arena's are: engines take them as they are.
  ready->bytes.resize(size + 64);
  auto address = reinterpret_cast<std::uintptr_t>(ready->bytes.data());
  std::byte* to = ready->bytes.data() + (64 - address % 64) % 64;
  for (auto input : request_.inputs) {
    std::ranges::copy(input.data, to);
    input.data = {to, input.data.size()};
    ready->inputs.push_back(input);
    to += (input.data.size() + 63) / 64 * 64;
  }
  ready->times.assign(times_.begin(), times_.end());
  for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
    const auto max_age = plan_.sources[plan_.columns[i].feature].max_age_ns;
    if (max_age == 0 || times_[i] == 0) continue;
    ready->sound_until = std::min(ready->sound_until, times_[i] + max_age);
  }
  JsonWriter used(ready->used);
  write_features_used(request_.inputs, signature_, 1, false, used);
  JsonWriter times(ready->of_when);
  write_feature_times(signature_, 1, false, times_, times);
  row.keep(std::move(ready));
}

bool RowJoin::write_plain(std::size_t row) {
  const KeptRow* const found = fetched_ == nullptr ? nullptr : fetched_->rows[row].get();
  if (found == nullptr || !found->known) return false;
  std::int64_t* time = times_.data() + row * plan_.columns.size();
  for (const Column& column : plan_.columns) {
    const FeatureValue& value = found->values[plan_.sources[column.feature].place];
    const bool number = std::holds_alternative<double>(value.data) ||
                        std::holds_alternative<std::int64_t>(value.data);
    if (!number || !writer_->put(column, row, value.data)) return false;
    *time++ = value.time_ns;
  }
  return true;
}

Result<void> RowJoin::join_row(std::size_t row) {
  std::ranges::fill(cells_, Cell{});
  for (; next_given_ < ask_.given.size() && ask_.given[next_given_].row == row; ++next_given_) {
    const auto& given = ask_.given[next_given_];
    cells_[given.feature] = {&given.data, 0, true};
  }
  for (std::size_t i = 0; i < plan_.sources.size(); ++i) {
    if (!cells_[i].sent) SLUICE_CHECK(look_up(i, row));
  }
  for (std::size_t i = plan_.sources.size(); i < plan_.names.size(); ++i) {
    if (!cells_[i].sent) make(i);
  }
  return write(row);
}

Result<void> RowJoin::look_up(std::size_t feature, std::size_t row) {
  const Source& source = plan_.sources[feature];
  const FeatureRow* found = nullptr;
  if (fetched_ != nullptr && !ask_.entities.empty()) {
    found = fetched_->rows[source.lookup * ask_.rows + row].get();
  }
  // Not asked for, since nothing that is missing needs it; or not to be had, and defaults stand in.
  if (found == nullptr) {
    if (fetched_ != nullptr && fetched_->trouble != Trouble::kNone) ++defaulted_;
    use_default(feature, source.fallback);
    return {};
  }
  if (found->known) return look_up_known(feature, *found, row);
  if (plan_.options.unknown == UnknownAction::kReject) return unknown_entity(source.lookup, row);
  use_default(feature, source.fallback);
  return {};
}

Result<void> RowJoin::look_up_known(std::size_t feature, const FeatureRow& found, std::size_t row) {
  const Source& source = plan_.sources[feature];
  const FeatureValue& value = found.values[source.place];
  if (const auto* unreadable = std::get_if<Unreadable>(&value.data)) {
    return invalid("wrong_type", "feature '" + printable(plan_.names[feature]) + "' of " +
                                     whose(row) + " in store '" + store_ + "' " +
                                     std::string(unreadable->why));
  }
  if (std::holds_alternative<Absent>(value.data) || std::holds_alternative<Null>(value.data)) {
    cells_[feature] = {&value.data, value.time_ns, false};
    if (source.fallback) use_default(feature, source.fallback);
    const bool told = !source.fallback && std::holds_alternative<Null>(value.data);
    return told ? check_age(feature, row) : Result<void>();
  }
  cells_[feature] = {&value.data, value.time_ns, false};
  return check_age(feature, row);
}

void RowJoin::use_default(std::size_t feature, const std::optional<FeatureData>& fallback) {
  cells_[feature] = {fallback ? &*fallback : &kAbsent, 0, false};
}

// As old as the oldest that it is made of.
void RowJoin::make(std::size_t feature) {
  const std::size_t index = feature - plan_.sources.size();
  const Recipe& recipe = plan_.recipes[index];
  const Cell& first = cells_[recipe.first];
  const Cell& second = cells_[recipe.second];
  const bool absent =
      std::holds_alternative<Absent>(*first.data) || std::holds_alternative<Absent>(*second.data);
  if (absent && !recipe.fallback) {
    cells_[feature].data = &kAbsent;
    return;
  }
  made_[index] = make_feature(recipe, *first.data, *second.data, now_ns_);
  if (recipe.fallback && std::holds_alternative<Null>(made_[index])) {
    return use_default(feature, recipe.fallback);
  }
  std::int64_t time = first.time_ns;
  if (time == 0 || (second.time_ns != 0 && second.time_ns < time)) time = second.time_ns;
  cells_[feature] = {&made_[index], time, false};
}

Result<void> RowJoin::check_age(std::size_t feature, std::size_t row) {
  const Source& source = plan_.sources[feature];
  const std::int64_t time = cells_[feature].time_ns;
  if (source.max_age_ns == 0 || time == 0 || now_ns_ - time <= source.max_age_ns) return {};
  count(stale_, feature, plan_.names.size());
  if (plan_.options.stale == StaleAction::kWarn) return {};
  const std::string problem = "feature '" + printable(plan_.names[feature]) + "' of " + whose(row) +
                              " is " + human_age(now_ns_ - time) + " old, and may be " +
                              human_age(source.max_age_ns) + " old (features.max_age)";
  Error error{Code::kInvalidArgument, "stale_feature", problem, {}};
  error.details.push_back({plan_.names[feature], static_cast<double>(now_ns_ - time) / 1e9, 0.0,
                           static_cast<double>(source.max_age_ns) / 1e9, problem});
  return Failure(std::move(error));
}

Result<void> RowJoin::write(std::size_t row) {
  for (std::size_t i = 0; i < plan_.columns.size(); ++i) {
    const Column& column = plan_.columns[i];
    const Cell& cell = cells_[column.feature];
    times_[row * plan_.columns.size() + i] = cell.time_ns;
    if (!writer_->put(column, row, *cell.data)) {
      if (std::holds_alternative<Absent>(*cell.data)) return missing(column.feature, row);
      return invalid("wrong_type", "feature '" + printable(plan_.names[column.feature]) + "'" +
                                       (cell.sent ? "" : " of " + whose(row)) + " " +
                                       writer_->why_not(column, *cell.data));
    }
    if (std::holds_alternative<Null>(*cell.data) && !cell.sent) {
      count(null_, column.feature, plan_.names.size());
    }
  }
  return {};
}

void RowJoin::count(std::vector<std::size_t>& counts, std::size_t feature, std::size_t features) {
  counts.resize(features);
  ++counts[feature];
}

void RowJoin::warn() {
  const auto in_rows = [&](std::size_t count) {
    return ask_.rows == 1
               ? std::string()
               : " in " + std::to_string(count) + " of " + std::to_string(ask_.rows) + " rows";
  };
  for (std::size_t i = 0; i < std::max(stale_.size(), null_.size()); ++i) {
    const std::string name = "feature '" + printable(plan_.names[i]) + "' ";
    if (!stale_.empty() && stale_[i] > 0) {
      request_.warnings.push_back(name + "is older than " + human_age(plan_.sources[i].max_age_ns) +
                                  in_rows(stale_[i]));
    }
    if (!null_.empty() && null_[i] > 0) {
      request_.warnings.push_back(name + "has no value" + in_rows(null_[i]) +
                                  "; the model got a missing one");
    }
  }
  if (fetched_ == nullptr || fetched_->trouble == Trouble::kNone) return;
  const std::string why = "feature store '" + store_ + "' did not answer in time: ";
  if (fetched_->old) {
    request_.warnings.push_back(why + "features from before their ttl were used");
  }
  if (defaulted_ > 0) request_.warnings.push_back(why + "defaults were used");
}

std::string RowJoin::whose(std::size_t row) const {
  const auto& keys = plan_.options.entity.list;
  if (ask_.entities.empty()) return "this request";
  std::string out = "entity ";
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i > 0) out += ", ";
    if (keys.size() > 1) out += printable(keys[i].name) + " ";
    out += "'" + printable(ask_.entities[row * keys.size() + i]) + "'";
  }
  return out;
}

Failure RowJoin::unknown_entity(std::size_t lookup, std::size_t row) const {
  const auto& keys = plan_.options.entity.list;
  std::string who;
  for (const auto key : plan_.key_places[lookup]) {
    if (!who.empty()) who += ", ";
    if (keys.size() > 1) who += printable(keys[key].name) + " ";
    who += "'" + printable(ask_.entities[row * keys.size() + key]) + "'";
  }
  return not_found("unknown_entity", "feature store '" + store_ + "' has no entity " + who +
                                         " with the features of this model");
}

Failure RowJoin::missing(std::size_t feature, std::size_t row) const {
  // There is no default for what the store did not give.
  if (fetched_ != nullptr && fetched_->trouble != Trouble::kNone) {
    return Failure(trouble_error(fetched_->trouble, store_, plan_.options.timeout));
  }
  const std::string name = "feature '" + printable(plan_.names[feature]) + "'";
  if (ask_.entities.empty()) {
    return invalid("missing_feature",
                   name + " is missing: send it, or an entity_id that it is fetched for");
  }
  return invalid("missing_feature",
                 name + " is missing: store '" + store_ + "' does not have what it needs for " +
                     whose(row) +
                     ", model.yaml gives no default, and it was not sent with the request");
}

}  // namespace sluice::features
