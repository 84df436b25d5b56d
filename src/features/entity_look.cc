#include "features/entity_look.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "base/text.h"
#include "features/convert.h"

namespace sluice::features {
namespace {

constexpr std::chrono::seconds kPatience{2};

// "u42", or "user_id=u42,merchant_id=7".
std::map<std::string, std::string, std::less<>> named_values(std::string_view entity) {
  std::map<std::string, std::string, std::less<>> out;
  for (const auto part : split(entity, ',')) {
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return {};
    out.emplace(part.substr(0, equals), part.substr(equals + 1));
  }
  return out;
}

// The entity's values for these keys; nothing where it does not have them all.
std::optional<std::vector<std::string>> values_of(std::span<const EntityKey> keys,
                                                  std::string_view entity) {
  const auto named = named_values(entity);
  std::vector<std::string> out;
  for (const auto& key : keys) {
    const auto found = named.find(key.name);
    if (found == named.end()) break;
    out.push_back(found->second);
  }
  if (out.size() == keys.size()) return out;
  if (keys.size() == 1) return std::vector{std::string(entity)};
  return std::nullopt;
}

// As `values_of`, with its types.
Result<std::vector<std::string>> checked(std::span<const EntityKey> keys, std::string_view entity) {
  auto out = values_of(keys, entity);
  if (!out) {
    std::string form;
    for (const auto& key : keys) form += (form.empty() ? "" : ",") + key.name + "=…";
    return invalid("bad_entity", "an entity of this store is written " + form);
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].type != KeyType::kText) SLUICE_CHECK(key_number((*out)[i], keys[i]));
  }
  return *std::move(out);
}

class Look {
 public:
  Look(const Fetcher& fetcher, std::string_view entity)
      : fetcher_(fetcher), entity_(entity), until_(std::chrono::steady_clock::now() + kPatience) {}

  Result<NamedFeatures> run() {
    const auto lookups = fetcher_.prepared();
    bool listed = true;
    for (const auto& keys : kinds_of(lookups)) {
      SLUICE_TRY(const bool could, list(keys));
      listed = listed && could;
    }
    if (!listed) {
      for (const auto& each : lookups) SLUICE_CHECK(ask(*each));
      if (lookups.empty()) {
        return fail(Code::kFailedPrecondition, "not_listable",
                    "this kind of store cannot list what it has, and no model here names features "
                    "of it");
      }
    }
    if (!out_.empty()) return std::move(out_);
    if (wrong_) return Failure(*wrong_);
    return not_found("unknown_entity", "feature store '" + fetcher_.name() + "' has no entity '" +
                                           printable(entity_) + "'");
  }

 private:
  // Models say how entities are made up; without one it is a single text.
  static std::vector<std::vector<EntityKey>> kinds_of(
      const std::vector<std::shared_ptr<const ReadLookup>>& lookups) {
    std::vector<std::vector<EntityKey>> out;
    for (const auto& each : lookups) {
      if (std::ranges::find(out, each->lookup.keys) == out.end()) out.push_back(each->lookup.keys);
    }
    if (out.empty()) out.push_back({{"entity_id", KeyType::kText}});
    return out;
  }

  // False: this store cannot.
  Result<bool> list(std::span<const EntityKey> keys) {
    const auto values = checked(keys, entity_);
    if (!values) {  // of another kind of entity
      wrong_ = values.error();
      return true;
    }
    const std::vector<std::string_view> views(values->begin(), values->end());
    SLUICE_TRY(auto all, fetcher_.store().list(keys, views, until_));
    if (!all) return false;
    for (auto& [name, value] : *all) add(name, std::move(value));
    return true;
  }

  // What is told once is not told again.
  void add(const std::string& name, FeatureValue value) {
    if (std::holds_alternative<Absent>(value.data)) return;
    const bool there = std::ranges::any_of(out_, [&](const auto& a) { return a.first == name; });
    if (!there) out_.emplace_back(name, std::move(value));
  }

  // The features that a model names.
  Result<void> ask(const ReadLookup& each) {
    const auto values = checked(each.lookup.keys, entity_);
    if (!values) {  // of another kind of entity
      wrong_ = values.error();
      return {};
    }
    const std::vector<std::string_view> views(values->begin(), values->end());
    const EntityValues entity(views);
    FeatureRow row;
    SLUICE_CHECK(each.reader->read({&entity, 1}, {&row, 1}, until_));
    if (!row.known) return {};
    for (std::size_t i = 0; i < row.values.size(); ++i) {
      add(each.lookup.features[i].name, std::move(row.values[i]));
    }
    return {};
  }

  const Fetcher& fetcher_;
  const std::string_view entity_;
  const std::chrono::steady_clock::time_point until_;
  NamedFeatures out_;
  std::optional<Error> wrong_;
};

}  // namespace

Result<NamedFeatures> look_at_entity(const Fetcher& fetcher, std::string_view entity) {
  return Look(fetcher, entity).run();
}

}  // namespace sluice::features
