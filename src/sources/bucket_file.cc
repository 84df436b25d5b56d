// What there is of one file that a URL names, and of what may belong to it: a bucket may hold
// millions of others, and whoever may read a file need not be allowed to list.

#include "base/log.h"
#include "base/text.h"
#include "sources/bucket_store.h"
#include "sources/manifest.h"
#include "sources/retry.h"

namespace sluice::sources {
namespace {

// Among more, what is called otherwise is no part of the same model.
constexpr std::size_t kMostBeside = 100'000;

std::string folder_of(const std::string& file) { return file.substr(0, file.rfind('/') + 1); }

}  // namespace

Result<std::vector<Object>> Bucket::list_for_file(const std::atomic<bool>& stop) {
  const auto folder = folder_of(file_);
  auto top = list_pages("", Depth::kFolder, stop, kMostBeside);
  if (!top && top.error().code == Code::kPermissionDenied) return look_for_file(top.error(), stop);
  if (!top && top.error().code == Code::kResourceExhausted) {
    return list_pages(folder.empty() ? file_ : folder, Depth::kAll, stop);
  }
  if (!top) return top;
  if (!folder.empty()) {
    SLUICE_TRY(const auto inside, list_pages(folder, Depth::kAll, stop));
    top->insert(top->end(), inside.begin(), inside.end());
    return top;
  }
  // A manifest may name what is in folders.
  const bool listed = std::ranges::find(*top, kManifest, &Object::key) != top->end();
  return listed ? list_pages("", Depth::kAll, stop) : top;
}

// By asking for each file that there may be. To those who may not list, what is not there is
// refused like what may not be read.
Result<std::vector<Object>> Bucket::look_for_file(const Error& refused,
                                                  const std::atomic<bool>& stop) {
  std::vector<Object> out;
  const auto add = [&](const std::string& key) -> Result<bool> {
    if (std::ranges::find(out, key, &Object::key) != out.end()) return true;
    auto found = with_retries(stop, [&] { return look(key); });
    if (!found && found.error().code == Code::kPermissionDenied) return false;
    if (!found) return Failure(std::move(found).error());
    if (*found) out.push_back(**std::move(found));
    return found->has_value();
  };
  SLUICE_TRY(const bool there, add(file_));
  if (!there) return Failure(refused);
  const auto folder = folder_of(file_);
  std::vector<std::string> others = {file_ + ".data", file_ + "_data"};
  if (!folder.empty()) others.insert(others.end(), {"model.yaml", "config.pbtxt"});
  for (const auto& key : others) SLUICE_CHECK(add(key));
  SLUICE_TRY(const bool has_manifest, add(folder + std::string(kManifest)));
  if (has_manifest) {
    const auto text = read_object(*this, out.back(), kMaxManifest, stop);
    if (!text) return Failure(about_file(out.back(), text.error()));
    SLUICE_TRY(const auto lines, read_manifest(*text));
    for (const auto& line : lines) SLUICE_CHECK(add(folder + line.file));
  }
  if (!std::exchange(told_, true)) {
    log::warn(title_ + " may not be listed (s3:ListBucket), so that only '" +
              printable(file_.substr(folder.size())) +
              "' was looked for, and of what is beside it weights that are called like it, the "
              "model's configuration, manifest.sha256 and what that names");
  }
  return out;
}

}  // namespace sluice::sources
