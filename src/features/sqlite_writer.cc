#include "features/sqlite_writer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/private_directory.h"
#include "base/text.h"
#include "clients/sqlite.h"
#include "features/feature_pack.h"
#include "features/sqlite_layout.h"
#include "features/sqlite_pool.h"

namespace sluice::features {
namespace {

namespace fs = std::filesystem;
using clients::SqliteDatabase;
using clients::SqliteStatement;
using clients::SqliteTransaction;
using clients::Survives;

constexpr std::uint64_t kMostEntities = 5000;  // of a transaction
constexpr std::size_t kMostBytes = std::size_t{4} << 20;

constexpr clients::SqliteNames kAside = {"the import's temporary file", "store_unavailable",
                                         "bad_store", Code::kFailedPrecondition, "import again"};

Result<void> make_directory(const fs::path& directory) {
  const auto error = make_private_directory(directory);
  if (!error) return {};
  return unavailable("store_unavailable", "the feature store's directory cannot be made: " +
                                              error.message() + "; name one that you may write");
}

// The features that an entity is to have, by id.
class Merged {
 public:
  void clear() { list_.clear(); }
  const std::vector<PackedFeature>& list() const { return list_; }

  void set(std::uint32_t id, FeatureValue value) {
    const auto at = std::ranges::lower_bound(list_, id, {}, &PackedFeature::id);
    if (at != list_.end() && at->id == id) {
      // What was true later stays, whatever is imported after it.
      if (value.time_ns >= at->value.time_ns) at->value = std::move(value);
    } else {
      list_.insert(at, {id, std::move(value)});
    }
  }

 private:
  std::vector<PackedFeature> list_;
};

// Writes entities into the store's file, a transaction for some thousand of them.
class Target {
 public:
  static Result<Target> open(const fs::path& file, const std::string& store,
                             const clients::SqliteNames& names) {
    SLUICE_CHECK(make_directory(file.parent_path()));
    SLUICE_TRY(auto database, SqliteDatabase::in_file(file, embedded_layout(names)));
    SLUICE_TRY(auto find,
               database.prepare("SELECT body FROM entities WHERE store = ? AND entity = ?"));
    SLUICE_TRY(auto change,
               database.prepare("INSERT INTO entities (store, entity, body) VALUES (?, ?, ?) "
                                "ON CONFLICT (store, entity) DO UPDATE SET body = excluded.body"));
    return Target(std::move(database), std::move(find), std::move(change), store);
  }

  // The numbers of features in the file; those that it does not know get one.
  Result<std::vector<std::uint32_t>> ids_of(const std::vector<std::string>& features) {
    SLUICE_TRY(auto transaction, database_.begin(Survives::kProcessCrash));
    SLUICE_TRY(auto add,
               database_.prepare("INSERT OR IGNORE INTO features (store, name) VALUES (?, ?)"));
    SLUICE_TRY(auto find,
               database_.prepare("SELECT id FROM features WHERE store = ? AND name = ?"));
    std::vector<std::uint32_t> out;
    for (const auto& feature : features) {
      SLUICE_CHECK(add.reset().text(store_).text(feature).run());
      SLUICE_TRY(const bool row, find.reset().text(store_).text(feature).step());
      out.push_back(row ? static_cast<std::uint32_t>(find.column_number(0)) : 0);
    }
    find.reset();
    SLUICE_CHECK(transaction.commit());
    return out;
  }

  // Begins with what the entity has.
  Result<void> begin(std::string_view entity, Merged& merged) {
    if (!transaction_) {
      SLUICE_TRY(auto begun, database_.begin(Survives::kProcessCrash));
      transaction_.emplace(std::move(begun));
    }
    merged.clear();
    SLUICE_TRY(const bool row, find_.reset().text(store_).bytes(entity).step());
    if (!row) return {};
    PackReader before(find_.column_view(0));
    while (before.next()) merged.set(before.id(), before.value());
    find_.reset();
    return {};
  }

  Result<void> write(std::string_view entity, const Merged& merged) {
    body_.clear();
    pack(merged.list(), body_);
    SLUICE_CHECK(change_.reset().text(store_).bytes(entity).bytes(body_).run());
    ++entities_;
    bytes_ += body_.size() + entity.size();
    if (entities_ < kMostEntities && bytes_ < kMostBytes) return {};
    return commit();
  }

  // Afterwards the disk has all of it, and the log is empty: a file without one can be copied and
  // replaced.
  Result<void> finish() {
    SLUICE_CHECK(commit());
    SLUICE_TRY(auto last, database_.begin(Survives::kPowerCut));
    // Without a change there would be nothing to write through.
    SLUICE_TRY(auto touch, database_.prepare("UPDATE features SET name = name WHERE id = "
                                             "(SELECT id FROM features LIMIT 1)"));
    SLUICE_CHECK(touch.run());
    SLUICE_CHECK(last.commit());
    database_.empty_log();
    return {};
  }

 private:
  Target(SqliteDatabase database, SqliteStatement find, SqliteStatement change, std::string store)
      : database_(std::move(database)),
        find_(std::move(find)),
        change_(std::move(change)),
        store_(std::move(store)) {}

  Result<void> commit() {
    change_.reset();
    find_.reset();
    entities_ = 0;
    bytes_ = 0;
    if (!transaction_) return {};
    auto done = transaction_->commit();
    transaction_.reset();
    return done;
  }

  SqliteDatabase database_;
  SqliteStatement find_;
  SqliteStatement change_;
  std::string store_;
  std::optional<SqliteTransaction> transaction_;
  std::uint64_t entities_ = 0;  // of this transaction
  std::size_t bytes_ = 0;
  std::string body_;
};

}  // namespace

struct SqliteWriter::Impl {
  Impl(fs::path file, const std::string& store, std::vector<EntityKey> keys,
       std::vector<std::string> features, SqliteDatabase aside)
      : file(std::move(file)),
        store(store),
        names(store),
        keys(std::move(keys)),
        order(key_order(this->keys)),
        features(std::move(features)),
        aside(std::move(aside)) {}

  Result<void> prepare();
  Result<void> put(EntityValues entity, std::span<const FeatureData> values, std::int64_t time_ns);
  Result<std::uint64_t> finish();
  Result<std::uint64_t> copy_to(Target& target, const std::vector<std::uint32_t>& ids);

  const fs::path file;
  const std::string store;
  const StoreNames names;
  const std::vector<EntityKey> keys;
  const std::vector<std::size_t> order;
  const std::vector<std::string> features;

  SqliteDatabase aside;
  std::optional<SqliteTransaction> transaction;
  std::optional<SqliteStatement> insert;
  // Kept for their memory.
  std::string entity_bytes_;
  std::string body;
  std::vector<PackedFeature> row;
};

Result<void> SqliteWriter::Impl::prepare() {
  SLUICE_TRY(auto table,
             aside.prepare("CREATE TABLE rows (number INTEGER PRIMARY KEY, entity BLOB, "
                           "time INTEGER, body BLOB)"));
  SLUICE_CHECK(table.run());
  SLUICE_TRY(auto begun, aside.begin(Survives::kProcessCrash));
  transaction.emplace(std::move(begun));
  SLUICE_TRY(insert, aside.prepare("INSERT INTO rows (entity, time, body) VALUES (?, ?, ?)"));
  return {};
}

Result<void> SqliteWriter::Impl::put(EntityValues entity, std::span<const FeatureData> values,
                                     std::int64_t time_ns) {
  if (values.size() != features.size() || entity.size() != keys.size()) {
    return internal("a row to import has another number of values than it should");
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (entity[i].empty()) {
      return invalid("bad_entity",
                     "'" + printable(keys[i].name) + "' is empty, and an entity needs a value");
    }
  }
  row.resize(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    row[i].id = static_cast<std::uint32_t>(i);
    row[i].value = {values[i], time_ns};
  }
  body.clear();
  pack(row, body);
  entity_bytes(entity, order, entity_bytes_);
  return insert->reset().bytes(entity_bytes_).number(time_ns).bytes(body).run();
}

Result<std::uint64_t> SqliteWriter::Impl::finish() {
  SLUICE_CHECK(transaction->commit());
  SLUICE_TRY(auto target, Target::open(file, store, names.get()));
  SLUICE_TRY(const auto ids, target.ids_of(features));
  SLUICE_TRY(const auto entities, copy_to(target, ids));
  SLUICE_CHECK(target.finish());
  return entities;
}

Result<std::uint64_t> SqliteWriter::Impl::copy_to(Target& target,
                                                  const std::vector<std::uint32_t>& ids) {
  SLUICE_TRY(auto rows,
             aside.prepare("SELECT entity, body FROM rows ORDER BY entity, time, number"));
  std::uint64_t entities = 0;
  std::optional<std::string> current;  // the entity whose rows are being read
  Merged merged;
  while (true) {
    SLUICE_TRY(const bool there, rows.step());
    if (current && (!there || rows.column_view(0) != *current)) {
      SLUICE_CHECK(target.write(*current, merged));
      current.reset();
    }
    if (!there) return entities;
    if (!current) {
      current = rows.column(0);
      ++entities;
      SLUICE_CHECK(target.begin(*current, merged));
    }
    PackReader reader(rows.column_view(1));
    while (reader.next()) {
      if (reader.id() < ids.size()) merged.set(ids[reader.id()], reader.value());
    }
  }
}

SqliteWriter::SqliteWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SqliteWriter::SqliteWriter(SqliteWriter&&) noexcept = default;
SqliteWriter& SqliteWriter::operator=(SqliteWriter&&) noexcept = default;
SqliteWriter::~SqliteWriter() = default;

Result<SqliteWriter> SqliteWriter::open(fs::path file, const std::string& store,
                                        std::vector<EntityKey> keys,
                                        std::vector<std::string> features) {
  SLUICE_TRY(auto aside, SqliteDatabase::scratch(kAside));
  auto impl = std::make_unique<Impl>(std::move(file), store, std::move(keys), std::move(features),
                                     std::move(aside));
  // What is there and is none of ours is better told before everything is read.
  std::error_code ignored;
  if (fs::exists(impl->file, ignored)) {
    const auto layout = embedded_layout(impl->names.get());
    SLUICE_CHECK(SqliteDatabase::for_reading(impl->file, impl->names.get(), &layout));
  }
  SLUICE_CHECK(impl->prepare());
  return SqliteWriter(std::move(impl));
}

Result<void> SqliteWriter::put(EntityValues entity, std::span<const FeatureData> values,
                               std::int64_t time_ns) {
  return impl_->put(entity, values, time_ns);
}

Result<std::uint64_t> SqliteWriter::finish() { return impl_->finish(); }

}  // namespace sluice::features
