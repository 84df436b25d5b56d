// Fills a store of the embedded feature store's file, which others may read at the same time.
//
// What is put is first kept aside, in a table of its own in a temporary file, and goes into the
// store when all of it is there. So a fault in what is imported leaves the store as it was; and
// what is put in any order is written in the order of the file's B-tree, in transactions of some
// thousand entities: one for all would let the log grow to the size of the import. What goes wrong
// only then (the disk is full, the process is killed) leaves some entities new and the others old,
// each of them whole; the same import once more makes all of them new.
//
// Thread-safety: one owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/feature_store.h"

namespace sluice::features {

class SqliteWriter {
 public:
  // The file is made, with its directory, when there is something to write into it. Errors, of
  // every function: kUnavailable/`store_unavailable` (cannot be written, disk full),
  // kFailedPrecondition/`bad_store` (what is there is something else, or damaged).
  static Result<SqliteWriter> open(std::filesystem::path file, const std::string& store,
                                   std::vector<EntityKey> keys, std::vector<std::string> features);
  SqliteWriter(SqliteWriter&&) noexcept;
  SqliteWriter& operator=(SqliteWriter&&) noexcept;
  ~SqliteWriter();

  // The features of an entity, in the order in which they were named; what is Absent is not
  // touched. `time_ns`: when they were true, since 1970. Of an entity that is put twice the later
  // values win, those that were put later where the times are the same. Errors:
  // kInvalidArgument/`bad_entity`: a key's value is empty. It is not put then, and others may be.
  Result<void> put(EntityValues entity, std::span<const FeatureData> values, std::int64_t time_ns);

  // Writes all of it, over what the store has of these features, unless that is of a later time;
  // other features of the entities stay as they are. Called once, at the end. Answers how many
  // entities there were.
  Result<std::uint64_t> finish();

 private:
  struct Impl;
  explicit SqliteWriter(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::features
