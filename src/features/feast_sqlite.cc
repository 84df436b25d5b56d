#include "features/feast_sqlite.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "clients/sqlite.h"
#include "features/convert.h"
#include "features/feast_keys.h"
#include "features/feast_value.h"
#include "features/sqlite_pool.h"

namespace sluice::features {
namespace {

using clients::SqliteDatabase;
using clients::SqliteStatement;
using Deadline = std::chrono::steady_clock::time_point;

// A name as SQL writes it. One with a zero in it is refused before: the statement would end there.
std::string quoted_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    out += c;
    if (c == '"') out += c;
  }
  return out + '"';
}

// Gives feature_name, value and event_ts of all features of an entity.
Result<SqliteStatement> select_from(SqliteDatabase& database, const std::string& table) {
  return database.prepare("SELECT feature_name, value, event_ts FROM " + quoted_name(table) +
                          " WHERE entity_key = ?");
}

struct Session {
  SqliteDatabase database;
  std::map<std::string, SqliteStatement> selects;  // by table
};

Result<std::unique_ptr<Session>> open_session(const std::filesystem::path& file,
                                              const clients::SqliteNames& names) {
  SLUICE_TRY(auto database, SqliteDatabase::for_reading(file, names));
  return std::unique_ptr<Session>(new Session{std::move(database), {}});
}

struct Shared {
  Shared(std::filesystem::path file, const StoreOptions& options)
      : prefix(options.project + "_"),
        key_version(static_cast<int>(options.key_version)),
        pool(std::move(file), options.name, open_session) {}

  // Of a feature view's table, which the session keeps.
  Result<SqliteStatement*> select(Session& session, const std::string& view) const;
  // Where there is no file Feast has not written it yet, or it is looked for elsewhere.
  template <class Work>
  Result<void> read(Deadline deadline, Work work) const;

  const std::string prefix;  // of the tables' names
  const int key_version;
  const SqlitePool<Session> pool;
};

Result<SqliteStatement*> Shared::select(Session& session, const std::string& view) const {
  const auto table = prefix + view;
  if (const auto found = session.selects.find(table); found != session.selects.end()) {
    return &found->second;
  }
  SLUICE_TRY(auto find, session.database.prepare(
                            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"));
  SLUICE_TRY(const bool there, find.text(table).step());
  if (!there) {
    return fail(Code::kFailedPrecondition, "bad_store",
                std::string(pool.names().what) + " has no table for the feature view '" +
                    printable(view) +
                    "'; check the view's name and the project, and whether `feast apply` has run");
  }
  SLUICE_TRY(auto select, select_from(session.database, table));
  return &session.selects.emplace(table, std::move(select)).first->second;
}

template <class Work>
Result<void> Shared::read(Deadline deadline, Work work) const {
  SLUICE_TRY(const bool there, pool.read(deadline, work));
  if (there) return {};
  return unavailable("store_unavailable",
                     std::string(pool.names().what) +
                         " has no file; check its name, and whether `feast apply` has run");
}

std::int64_t time_of(std::string_view event_ts) { return parse_time(event_ts).value_or(0); }

FeatureValue value_of(const SqliteStatement& row, FeatureType type) {
  const auto time = time_of(row.column_view(2));
  if (row.column_is_null(1)) return {Null{}, time};
  return {feast_value(row.column_view(1), type), time};
}

class Reader final : public FeatureReader {
 public:
  // What is wanted of a view: places in the lookup, by the features' names.
  using Wanted = std::multimap<std::string, std::size_t, std::less<>>;
  using Views = std::map<std::string, Wanted>;

  Reader(std::shared_ptr<const Shared> shared, const FeatureLookup& lookup, Views views)
      : shared_(std::move(shared)), lookup_(lookup), views_(std::move(views)) {}

  Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                    Deadline deadline) const override {
    std::vector<std::string> keys;
    for (const auto& entity : entities) {
      SLUICE_TRY(auto key, feast_entity_key(lookup_.keys, entity, shared_->key_version));
      keys.push_back(std::move(key));
    }
    return shared_->read(deadline, [&](Session& session) -> Result<void> {
      for (const auto& [view, wanted] : views_) {
        SLUICE_TRY(auto* const select, shared_->select(session, view));
        for (std::size_t i = 0; i < keys.size(); ++i) {
          SLUICE_CHECK(read_one(*select, keys[i], wanted, rows[i]));
        }
      }
      return {};
    });
  }

 private:
  Result<void> read_one(SqliteStatement& select, std::string_view key, const Wanted& wanted,
                        FeatureRow& row) const {
    select.reset().bytes(key);
    while (true) {
      SLUICE_TRY(const bool there, select.step());
      if (!there) break;
      const auto [from, to] = wanted.equal_range(select.column_view(0));
      for (auto at = from; at != to; ++at) {
        row.values.resize(lookup_.features.size());
        row.known = true;
        row.values[at->second] = value_of(select, lookup_.features[at->second].type);
      }
    }
    select.reset();  // or it would hold on to what it has seen
    return {};
  }

  const std::shared_ptr<const Shared> shared_;
  const FeatureLookup lookup_;
  const Views views_;
};

class Store final : public FeatureStore {
 public:
  explicit Store(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    Reader::Views views;
    for (std::size_t i = 0; i < lookup.features.size(); ++i) {
      SLUICE_TRY(auto name, parse_feast_name(lookup.features[i].name));
      if (name.view.find('\0') != std::string::npos) {
        return invalid("bad_config", "a feature view's name has a zero byte in it");
      }
      views[name.view].emplace(std::move(name.feature), i);
    }
    return std::make_unique<Reader>(shared_, lookup, std::move(views));
  }

  Result<std::optional<NamedFeatures>> list(std::span<const EntityKey> keys, EntityValues entity,
                                            Deadline deadline) const override {
    SLUICE_TRY(const auto key, feast_entity_key(keys, entity, shared_->key_version));
    NamedFeatures out;
    SLUICE_CHECK(shared_->read(deadline, [&](Session& session) -> Result<void> {
      SLUICE_TRY(const auto views, views_of(session));
      for (const auto& view : views) SLUICE_CHECK(list_view(session, view, key, out));
      return {};
    }));
    std::ranges::sort(out, {}, &NamedFeatures::value_type::first);
    return out;
  }

 private:
  // Of the tables that begin with the project's name; another project's may do so as well.
  Result<std::vector<std::string>> views_of(Session& session) const {
    SLUICE_TRY(auto tables,
               session.database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'"));
    std::vector<std::string> out;
    while (true) {
      SLUICE_TRY(const bool there, tables.step());
      if (!there) return out;
      auto name = tables.column(0);
      const bool ours = name.starts_with(shared_->prefix) && name.find('\0') == std::string::npos;
      if (ours) out.push_back(name.substr(shared_->prefix.size()));
    }
  }

  Result<void> list_view(Session& session, const std::string& view, std::string_view key,
                         NamedFeatures& out) const {
    auto select = select_from(session.database, shared_->prefix + view);
    if (!select) return {};  // a table that is no feature view's
    select->bytes(key);
    while (true) {
      SLUICE_TRY(const bool there, select->step());
      if (!there) return {};
      out.emplace_back(view + ":" + select->column(0), value_of(*select, FeatureType::kAny));
    }
  }

  const std::shared_ptr<const Shared> shared_;
};

}  // namespace

Result<std::shared_ptr<const FeatureStore>> open_feast_sqlite(const StoreOptions& options) {
  constexpr std::string_view kScheme = "feast+sqlite:";
  std::string_view path = options.url;
  if (path.starts_with(kScheme)) path.remove_prefix(kScheme.size());
  if (path.starts_with("///")) path.remove_prefix(2);
  const std::string name = "feature store '" + printable(options.name) + "'";
  if (path.empty() || path.starts_with("//") || path == ":memory:") {
    return invalid("bad_store_url",
                   name + " names no file; write feast+sqlite:/path/online_store.db");
  }
  if (options.project.empty() || options.project.find('\0') != std::string::npos) {
    return invalid("bad_store_url", name + " needs Feast's project: its tables begin with it");
  }
  return std::make_shared<Store>(std::make_shared<const Shared>(path, options));
}

}  // namespace sluice::features
