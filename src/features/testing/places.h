// For tests of stores that keep files: a directory that is gone afterwards, and what most of them
// ask for.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/feature_store.h"
#include "features/builtin.h"
#include "features/sqlite_writer.h"

namespace sluice::features::testing {

// A directory of this test's own.
class Place {
 public:
  Place() {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~Place() { std::filesystem::remove_all(root_); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  std::filesystem::path operator/(std::string_view name) const { return root_ / name; }

 private:
  const std::filesystem::path root_ =
      std::filesystem::path(::testing::TempDir()) / ("features_" + std::to_string(::getpid()));
};

inline std::chrono::steady_clock::time_point soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds(20);
}

inline StoreOptions at(std::string url, std::string name = "default") {
  StoreOptions out;
  out.name = std::move(name);
  out.url = std::move(url);
  return out;
}

inline std::shared_ptr<const FeatureStore> opened(const StoreOptions& options) {
  auto store = open_store(options);
  EXPECT_TRUE(store) << (store ? "" : store.error().message);
  return store ? *store : nullptr;
}

using Entity = std::vector<std::string_view>;

// What the store says of these entities, or why it does not.
inline Result<std::vector<FeatureRow>> ask(const FeatureStore& store, const FeatureLookup& lookup,
                                           const std::vector<Entity>& entities) {
  SLUICE_TRY(const auto reader, store.reader(lookup));
  std::vector<EntityValues> values(entities.begin(), entities.end());
  std::vector<FeatureRow> rows(entities.size());
  SLUICE_CHECK(reader->read(values, rows, soon()));
  return rows;
}

// A row to import.
struct Row {
  Entity entity;
  std::vector<FeatureData> values;
  std::int64_t time_ns = 0;
};

inline Result<std::uint64_t> write(const std::filesystem::path& file,
                                   const std::vector<std::string>& features,
                                   const std::vector<Row>& rows,
                                   std::vector<EntityKey> keys = {{"id", KeyType::kText}},
                                   const std::string& store = "default") {
  SLUICE_TRY(auto writer, SqliteWriter::open(file, store, std::move(keys), features));
  for (const auto& row : rows) SLUICE_CHECK(writer.put(row.entity, row.values, row.time_ns));
  return writer.finish();
}

}  // namespace sluice::features::testing
