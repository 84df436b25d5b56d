#include "tools/batch/staged_output.h"

#include <algorithm>
#include <map>

#include "sources/retry.h"
#include "sources/upload.h"
#include "tools/batch/few_at_once.h"
#include "tools/batch/shards.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using sources::Object;
using sources::WritableStore;

constexpr const char* kManifest = "manifest.json";

std::uint64_t size_of(const fs::path& file) {
  std::error_code error;
  const auto out = fs::file_size(file, error);
  return error ? 0 : out;
}

// What is the same in all uploads of a job.
struct Sending {
  WritableStore& store;
  fs::path notes;
  Transfer& transfer;
  const std::atomic<bool>& stop;

  Result<void> send(const fs::path& file, const std::string& key,
                    std::optional<Object> known = std::nullopt) const {
    sources::UploadPlan plan;
    plan.file = file;
    plan.key = key;
    plan.notes = notes / file.filename();
    plan.known = std::move(known);
    sources::Upload upload(store, std::move(plan), transfer.bytes_done, stop);
    auto done = upload.run();
    return done ? Result<void>() : Failure(std::move(done).error());
  }
};

Result<void> remove_if_there(WritableStore& store, const std::string& key) {
  const std::atomic<bool> never = false;
  SLUICE_TRY(const auto there, sources::with_retries(never, [&] { return store.look(key); }));
  return there ? sources::with_retries(never, [&] { return store.remove(key); }) : Result<void>();
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    out.push_back(entry.path().filename());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace

Result<void> check_writable(WritableStore& store, const std::string& key,
                            const StagingFolder& folder, bool resume) {
  const std::atomic<bool> never = false;
  SLUICE_TRY(const auto notes, folder.folder("uploads"));
  for (const auto& name : names_in(notes)) {
    if (!resume) SLUICE_CHECK(sources::drop_upload(store, notes / name));
  }
  SLUICE_TRY(const auto upload,
             sources::with_retries(never, [&] { return store.begin_parts(key); }));
  return sources::with_retries(never, [&] { return store.drop_parts(key, upload); });
}

Result<std::uint64_t> upload_output(WritableStore& store, const std::string& key,
                                    const fs::path& output, const StagingFolder& folder,
                                    Transfer& transfer, const std::atomic<bool>& stop) {
  SLUICE_TRY(const auto notes, folder.folder("uploads"));
  const Sending sending{store, notes, transfer, stop};
  const auto bad = bad_rows_file(output);
  const auto bad_key = bad_rows_file(key).native();
  std::error_code ignored;
  const bool has_bad = fs::exists(bad, ignored);
  const auto bytes = size_of(output) + (has_bad ? size_of(bad) : 0);
  transfer.begin(Transfer::Phase::kUpload, bytes);
  if (has_bad) {
    SLUICE_CHECK(sending.send(bad, bad_key));
  } else {
    SLUICE_CHECK(remove_if_there(store, bad_key));
  }
  SLUICE_CHECK(sending.send(output, key));
  return bytes;
}

Result<std::uint64_t> upload_shard(WritableStore& store, const std::string& key,
                                   const fs::path& parts, const StagingFolder& folder,
                                   Transfer& transfer, const std::atomic<bool>& stop) {
  SLUICE_TRY(const auto notes, folder.folder("uploads"));
  const Sending sending{store, notes, transfer, stop};
  auto names = names_in(parts);
  // Drafts are what a killed run had in hand.
  std::erase_if(
      names, [](const std::string& name) { return name == kManifest || name.ends_with(".tmp"); });
  std::uint64_t bytes = size_of(parts / kManifest);
  for (const auto& name : names) bytes += size_of(parts / name);
  transfer.begin(Transfer::Phase::kUpload, bytes);
  SLUICE_TRY(const auto there, store.list_below(key + "/", stop));
  std::map<std::string, Object> known;
  std::vector<std::string> old;
  for (const auto& object : there) {
    const auto name = object.key.substr(key.size() + 1);
    if (name == kManifest) {
      // It speaks for what lies beside it: it goes before that changes.
      SLUICE_CHECK(remove_objects(store, {object.key}));
    } else if (std::ranges::binary_search(names, name)) {
      known[name] = object;
    } else {
      old.push_back(object.key);
    }
  }
  SLUICE_CHECK(remove_objects(store, old));
  SLUICE_CHECK(few_at_once(names.size(), [&](std::size_t index) {
    const auto& name = names[index];
    const auto at = known.find(name);
    return sending.send(parts / name, key + "/" + name,
                        at == known.end() ? std::nullopt : std::optional(at->second));
  }));
  SLUICE_CHECK(sending.send(parts / kManifest, key + "/" + kManifest));
  return bytes;
}

Result<void> remove_objects(WritableStore& store, const std::vector<std::string>& keys) {
  const std::atomic<bool> never = false;
  return few_at_once(keys.size(), [&](std::size_t index) {
    return sources::with_retries(never, [&] { return store.remove(keys[index]); });
  });
}

}  // namespace sluice::tools::batch
