#include "features/sqlite.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "clients/sqlite.h"
#include "features/convert.h"
#include "features/feature_pack.h"
#include "features/sqlite_layout.h"
#include "features/sqlite_pool.h"

namespace sluice::features {
namespace {

using clients::SqliteDatabase;
using clients::SqliteStatement;
using Deadline = std::chrono::steady_clock::time_point;

constexpr Unreadable kDamaged{"is damaged in the store"};

struct Session {
  SqliteDatabase database;
  SqliteStatement find_body;
  // The features of the store, and as of when they were read.
  std::int64_t version = -1;
  std::map<std::string, std::uint32_t, std::less<>> ids;

  Result<void> refresh(std::string_view store);
  // Empty: there is no such entity. Valid until the next call.
  Result<std::string_view> body(std::string_view store, std::string_view entity);
};

Result<std::unique_ptr<Session>> open_session(const std::filesystem::path& file,
                                              const clients::SqliteNames& names) {
  const auto layout = embedded_layout(names);
  SLUICE_TRY(auto database, SqliteDatabase::for_reading(file, names, &layout));
  // In KB, at most, of each connection: room for the tree's inner pages of a million entities,
  // which every look-up goes through.
  SLUICE_TRY(auto cache, database.prepare("PRAGMA cache_size = -8192"));
  SLUICE_CHECK(cache.run());
  SLUICE_TRY(auto find_body,
             database.prepare("SELECT body FROM entities WHERE store = ? AND entity = ?"));
  return std::unique_ptr<Session>(new Session{std::move(database), std::move(find_body), -1, {}});
}

Result<void> Session::refresh(std::string_view store) {
  SLUICE_TRY(const auto now, database.data_version());
  if (now == version) return {};
  ids.clear();
  SLUICE_TRY(auto rows, database.prepare("SELECT name, id FROM features WHERE store = ?"));
  rows.text(store);
  while (true) {
    SLUICE_TRY(const bool row, rows.step());
    if (!row) break;
    ids.emplace(rows.column(0), static_cast<std::uint32_t>(rows.column_number(1)));
  }
  version = now;
  return {};
}

Result<std::string_view> Session::body(std::string_view store, std::string_view entity) {
  SLUICE_TRY(const bool row, find_body.reset().text(store).bytes(entity).step());
  return row ? find_body.column_view(0) : std::string_view();
}

// What is shared by the store and its readers.
struct Shared {
  Shared(std::filesystem::path file, std::string store)
      : name(std::move(store)), pool(std::move(file), name, open_session) {}

  const std::string name;
  const SqlitePool<Session> pool;
};

class Reader final : public FeatureReader {
 public:
  Reader(std::shared_ptr<const Shared> shared, const FeatureLookup& lookup)
      : shared_(std::move(shared)), lookup_(lookup), order_(key_order(lookup.keys)) {}

  Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                    Deadline deadline) const override {
    const auto done = shared_->pool.read(deadline, [&](Session& session) {
      auto all = read_all(session, entities, rows);
      session.find_body.reset();  // or it would hold on to what it has seen
      return all;
    });
    if (done) return {};
    return Failure(done.error());
  }

 private:
  // A feature's id, and its place among those that are wanted.
  using Place = std::pair<std::uint32_t, std::size_t>;

  Result<void> read_all(Session& session, std::span<const EntityValues> entities,
                        std::span<FeatureRow> rows) const {
    SLUICE_CHECK(session.refresh(shared_->name));
    const auto places = places_of(session);
    std::string entity;
    for (std::size_t i = 0; i < entities.size(); ++i) {
      entity_bytes(entities[i], order_, entity);
      SLUICE_TRY(const auto body, session.body(shared_->name, entity));
      if (!body.empty()) fill(body, places, rows[i]);
    }
    return {};
  }

  // By id. A feature may be wanted twice, as two types.
  std::vector<Place> places_of(const Session& session) const {
    std::vector<Place> out;
    for (std::size_t i = 0; i < lookup_.features.size(); ++i) {
      const auto found = session.ids.find(lookup_.features[i].name);
      if (found != session.ids.end()) out.emplace_back(found->second, i);
    }
    std::ranges::sort(out);
    return out;
  }

  void fill(std::string_view body, const std::vector<Place>& places, FeatureRow& row) const {
    row.values.resize(lookup_.features.size());
    PackReader reader(body);
    while (reader.next()) {
      const auto same = std::ranges::equal_range(places, reader.id(), {}, &Place::first);
      for (const auto& [id, place] : same) {
        auto value = reader.value();
        value.data = coerce(std::move(value.data), lookup_.features[place].type);
        row.values[place] = std::move(value);
        row.known = true;
      }
    }
    if (!reader.damaged()) return;
    row.known = true;
    for (const auto& [id, place] : places) {
      if (std::holds_alternative<Absent>(row.values[place].data)) row.values[place] = {kDamaged, 0};
    }
  }

  const std::shared_ptr<const Shared> shared_;
  const FeatureLookup lookup_;
  const std::vector<std::size_t> order_;
};

class Store final : public FeatureStore {
 public:
  explicit Store(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    return std::make_unique<Reader>(shared_, lookup);
  }

  Result<std::optional<NamedFeatures>> list(std::span<const EntityKey> keys, EntityValues entity,
                                            Deadline deadline) const override {
    std::string bytes;
    entity_bytes(entity, key_order(keys), bytes);
    NamedFeatures out;
    SLUICE_CHECK(shared_->pool.read(deadline, [&](Session& session) -> Result<void> {
      SLUICE_CHECK(session.refresh(shared_->name));
      SLUICE_TRY(const auto body, session.body(shared_->name, bytes));
      if (!body.empty()) fill(body, session, out);
      session.find_body.reset();
      return {};
    }));
    return out;
  }

 private:
  static void fill(std::string_view body, const Session& session, NamedFeatures& out) {
    std::map<std::uint32_t, FeatureValue> values;
    PackReader reader(body);
    while (reader.next()) values.insert_or_assign(reader.id(), reader.value());
    for (const auto& [name, id] : session.ids) {
      if (const auto found = values.find(id); found != values.end()) {
        out.emplace_back(name, std::move(found->second));
      } else if (reader.damaged()) {
        out.emplace_back(name, FeatureValue{kDamaged, 0});
      }
    }
  }

  const std::shared_ptr<const Shared> shared_;
};

}  // namespace

Result<std::shared_ptr<const FeatureStore>> open_sqlite(const StoreOptions& options) {
  constexpr std::string_view kScheme = "sqlite:";
  std::string_view path = options.url;
  if (path.starts_with(kScheme)) path.remove_prefix(kScheme.size());
  if (path.starts_with("///")) path.remove_prefix(2);
  if (path.empty() || path.starts_with("//")) {
    return invalid("bad_store_url", "feature store '" + printable(options.name) +
                                        "' names no file; write sqlite:/path/features.db");
  }
  // What is in memory is nobody else's, so nobody can have put anything into it: a file without a
  // name is never there.
  const std::filesystem::path file = path == ":memory:" ? "" : path;
  return std::make_shared<Store>(std::make_shared<const Shared>(file, options.name));
}

}  // namespace sluice::features
