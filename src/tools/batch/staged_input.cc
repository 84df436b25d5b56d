#include "tools/batch/staged_input.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "sources/download.h"
#include "sources/retry.h"
#include "tools/batch/input_names.h"
#include "tools/batch/shard_objects.h"
#include "tools/batch/shards.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using sources::Object;

constexpr std::string_view kCopies = "objects-";
constexpr std::size_t kMostManifest = std::size_t{256} << 20;

// The characters at the front that are not matched: a store lists what begins so.
std::string listed_prefix(const std::string& path) {
  if (path.empty()) return {};
  return is_pattern(path) ? path.substr(0, path.find_first_of("*?[")) : path + "/";
}

std::string name_of(const std::vector<Object>& objects) {
  std::string text;
  for (const auto& object : objects) {
    text += object.key + '\n' + std::to_string(object.size) + ' ' + object.etag + '\n';
  }
  return std::string(kCopies) + sha256_hex(text).substr(0, 24);
}

void remove_others(const fs::path& folder, const std::string& name) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string other = entry.path().filename();
    std::error_code ignored;
    if (other.starts_with(kCopies) && other != name) fs::remove_all(entry.path(), ignored);
  }
}

// Bytes on the disk below a folder: files that are being fetched have holes.
std::uint64_t bytes_below(const fs::path& folder) {
  std::uint64_t out = 0;
  std::error_code error;
  for (auto at = fs::recursive_directory_iterator(folder, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    struct stat state {};
    if (::lstat(at->path().c_str(), &state) == 0 && S_ISREG(state.st_mode)) {
      out += static_cast<std::uint64_t>(state.st_blocks) * 512;
    }
  }
  return out;
}

Result<std::vector<sources::Downloaded>> download(sources::ObjectStore& store,
                                                  const std::vector<Object>& objects,
                                                  const fs::path& copies, Transfer& transfer,
                                                  const std::atomic<bool>& stop) {
  sources::DownloadPlan plan;
  plan.title = "the input";
  plan.directory = copies;
  plan.notes = copies.parent_path() / "pieces";
  plan.objects = objects;
  const sources::Download* running = nullptr;
  sources::Download download(store, std::move(plan), [&] {
    transfer.bytes_done = running->received();
    return !stop;
  });
  running = &download;
  return download.run();
}

Result<void> check_same(const fs::path& parts, const std::vector<Object>& objects) {
  std::error_code ignored;
  const auto file = parts / "manifest.json";
  if (parts.empty() || !fs::exists(file, ignored)) return {};
  SLUICE_TRY(const auto text, read_text(file, kMostManifest, "the manifest"));
  const auto manifest = json::parse(text, nullptr, false);
  json now = json::array();
  for (const auto& object : objects) {
    // Where the store says nothing, what was fetched does, and the run itself compares that.
    if (object.etag.empty()) return {};
    now.push_back(identity_of(object.key, object.size, object.etag));
  }
  const auto input = manifest.is_object() ? manifest.value("input", json::object()) : json();
  if (input.is_object() && input.value("files", json()) == now) return {};
  return other_run("the input (its objects, their sizes or contents)",
                   "what is to be gone on with");
}

}  // namespace

void Transfer::begin(Phase what, std::uint64_t all) {
  bytes_done = 0;
  bytes = all;
  phase = what;
}

Result<FoundObjects> find_objects(sources::WritableStore& store, const std::string& path) {
  const std::atomic<bool> never = false;
  std::vector<Object> objects;
  if (!path.empty() && !is_pattern(path)) {
    auto one = sources::with_retries(never, [&] { return store.look(path); });
    // Stores refuse to say of what is not there whether it is, to those who may not list it.
    if (!one && one.error().code != Code::kPermissionDenied) {
      return Failure(std::move(one).error());
    }
    if (one && *one) objects.push_back(**std::move(one));
  }
  if (objects.empty()) {
    SLUICE_TRY(objects, store.list_below(listed_prefix(path), never));
  }
  std::map<fs::path, Object*> by_name;
  std::vector<fs::path> names;
  for (auto& object : objects) {
    by_name[object.key] = &object;
    names.emplace_back(object.key);
  }
  SLUICE_TRY(auto named, find_names(path, names));
  SLUICE_CHECK(one_format(named.files));
  FoundObjects out;
  out.base = std::move(named.base);
  for (const auto& file : named.files) out.objects.push_back(std::move(*by_name.at(file)));
  return out;
}

Result<fs::path> copies_folder(const std::vector<Object>& objects, const StagingFolder& folder) {
  const auto name = name_of(objects);
  remove_others(folder.path(), name);
  SLUICE_CHECK(folder.folder(name));
  return folder.folder(name + "/files");
}

Result<std::vector<std::string>> fetch_objects(sources::ObjectStore& store,
                                               const std::vector<Object>& objects,
                                               const fs::path& copies, const StagingFolder& folder,
                                               Transfer& transfer, const std::atomic<bool>& stop) {
  std::uint64_t bytes = 0;
  for (const auto& object : objects) bytes += object.size;
  transfer.begin(Transfer::Phase::kDownload, bytes);
  SLUICE_CHECK(folder.check_room(bytes - std::min(bytes, bytes_below(copies))));
  auto done = download(store, objects, copies, transfer, stop);
  if (!done && done.error().reason == "damaged") {
    // What is wrong may have been wrong on this disk.
    std::error_code ignored;
    fs::remove(copies.parent_path() / "pieces", ignored);
    for (const auto& object : objects) fs::remove(copies / object.key, ignored);
    done = download(store, objects, copies, transfer, stop);
  }
  if (!done) return Failure(std::move(done).error());
  std::vector<std::string> out;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    out.push_back(objects[i].etag.empty() ? (*done)[i].digest : objects[i].etag);
  }
  return out;
}

Result<StagedInput> stage_input(const StageRequest& request, const StagingFolder& folder,
                                Transfer& transfer, const std::atomic<bool>& stop) {
  transfer.begin(Transfer::Phase::kDownload, 0);
  SLUICE_TRY(const auto bucket, sources::open_bucket(request.url, false));
  SLUICE_TRY(const auto found, find_objects(*bucket.store, bucket.path));
  for (const auto& object : found.objects) {
    if (bucket.identity + object.key == request.output) return output_is_input();
  }
  SLUICE_CHECK(check_same(request.parts, found.objects));
  SLUICE_TRY(const auto copies, copies_folder(found.objects, folder));
  SLUICE_TRY(const auto wanted,
             objects_of_shard(*bucket.store, found.objects, request.shard, copies, stop));
  StagedInput out;
  std::vector<Object> objects;
  for (const auto index : wanted) {
    objects.push_back(found.objects[index]);
    out.bytes += objects.back().size;
  }
  SLUICE_TRY(const auto versions,
             fetch_objects(*bucket.store, objects, copies, folder, transfer, stop));
  std::vector<fs::path> files;
  for (const auto& object : found.objects) files.push_back(copies / object.key);
  SLUICE_TRY(out.input, input_of(files, copies / found.base));
  for (std::size_t i = 0; i < files.size(); ++i) {
    out.input.files[i].version = found.objects[i].etag;
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    out.input.files[wanted[i]].version = versions[i];
  }
  transfer.phase = Transfer::Phase::kNone;
  return out;
}

}  // namespace sluice::tools::batch
