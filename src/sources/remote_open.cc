// A version's files, from the cache or the store.

#include <algorithm>

#include "base/checked.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/manifest.h"
#include "sources/remote_source.h"

namespace sluice::sources {

std::shared_ptr<const Listing> Remote::listing_with(const WantedVersion& version) const {
  std::shared_ptr<const Listing> listing;
  {
    const std::lock_guard lock(mutex_);
    listing = newest_;
  }
  return has_still(*listing, version) && !stop_ ? listing : nullptr;
}

// Null: there is none, or it lies beside many models and is not about one of them.
const Object* Remote::manifest_of(const WantedVersion& version, const Listing& listing) const {
  const bool shared = version.directory.empty() && listing.one_of_many;
  if (shared && located_.file.empty()) return nullptr;
  const auto below = version.directory.empty() ? std::string() : version.directory + "/";
  const auto found =
      std::ranges::find(listing.objects, below + std::string(kManifest), &Object::key);
  return found == listing.objects.end() ? nullptr : &*found;
}

// The manifest's word on each file is worth more than the store's.
Result<void> Remote::read_manifest_of(const WantedVersion& version, const Listing& listing,
                                      std::vector<Object>& objects) {
  const auto* manifest = manifest_of(version, listing);
  if (manifest == nullptr) return {};
  const auto text = read_object(*located_.store, *manifest, kMaxManifest, stop_);
  if (!text) return Failure(about_file(*manifest, text.error()));
  SLUICE_TRY(const auto lines, read_manifest(*text));
  const bool whole = !version.directory.empty() || !listing.one_of_many;
  return heed_manifest(lines, version.directory, version.location, whole, objects);
}

Result<std::vector<Downloaded>> Remote::download(const DownloadCache::Entry& entry,
                                                 const WantedVersion& version,
                                                 const Listing& listing,
                                                 std::vector<Object> objects,
                                                 const Wanted& wanted) {
  SLUICE_CHECK(read_manifest_of(version, listing, objects));
  std::uint64_t bytes = 0;
  for (const auto& object : objects) {
    const auto sum = checked_add(bytes, object.size);
    if (!sum) return invalid("too_large", "the version's files are larger than any disk");
    bytes = *sum;
  }
  touch_entries();
  SLUICE_CHECK(cache_->make_room(entry, bytes));
  DownloadPlan plan;
  plan.title = "version " + version.name.str() + " of '" + printable(version.location) + "'";
  SLUICE_TRY(plan.directory, cache_->begin(entry));
  plan.notes = entry.directory / "pieces";
  plan.objects = std::move(objects);
  plan.connections = options_.connections;
  return Download(*located_.store, std::move(plan), wanted).run();
}

Result<void> Remote::fetch(DownloadCache::Entry& entry, const WantedVersion& version,
                           const Listing& listing, std::vector<Object> objects,
                           const Wanted& wanted) {
  if (!reachable_) {
    return unavailable("unreachable",
                       "it is not in the cache, and the store cannot be reached now");
  }
  auto downloaded = download(entry, version, listing, std::move(objects), wanted);
  if (downloaded) return cache_->complete(entry, *downloaded);
  const auto& error = downloaded.error();
  if (error.reason == "damaged" || error.reason == "changing") cache_->discard(entry);
  // Keys may be mended, and a store may be told of a file late: the repository asks again.
  const bool may_change = error.code == Code::kPermissionDenied || error.code == Code::kNotFound ||
                          error.code == Code::kCancelled || error.reason == "unfinished" ||
                          error.reason == "bad_credentials";
  if (may_change) {
    return unavailable(error.reason, error.message);
  }
  return Failure(error);
}

Result<Remote::Place> Remote::place_of(const WantedVersion& version) const {
  Place out;
  out.listing = listing_with(version);
  if (!out.listing) return unavailable("changing", "the store has other files of it by now");
  const auto& parts = out.listing->versions.at(key_of(version)).parts;
  out.objects = objects_of(out.listing->objects, version, out.listing->one_of_many, parts);
  out.id = entry_id(out.objects, manifest_of(version, *out.listing));
  return out;
}

// False: it was damaged, and another may take its place.
bool Remote::is_sound(const DownloadCache::Entry& entry, const Place& place) {
  if (cache_->check(entry, place.objects)) return true;
  log::warn("a downloaded version is damaged on this disk; it is downloaded again");
  cache_->set_aside(entry);
  return false;
}

Result<ModelFile> Remote::open(const WantedVersion& version) {
  const std::atomic<bool> abandoned{false};
  return open_far(version, abandoned);
}

Result<std::optional<ModelFile>> Remote::open_near(const WantedVersion& version) {
  SLUICE_TRY(const auto place, place_of(version));
  const auto entry = cache_->find(place.id);
  if (!entry || !is_sound(*entry, place)) return std::optional<ModelFile>();
  in_use_.opened(version, place.id);
  SLUICE_TRY(auto file, DownloadCache::read(*entry, version));
  return std::optional(std::move(file));
}

Result<ModelFile> Remote::open_far(const WantedVersion& version,
                                   const std::atomic<bool>& abandoned) {
  SLUICE_TRY(auto place, place_of(version));
  const Wanted wanted = [&] { return !abandoned && listing_with(version) != nullptr; };
  SLUICE_TRY(auto entry, cache_->enter(place.id, wanted));
  if (entry.whole && !is_sound(entry, place)) {
    SLUICE_TRY(entry, cache_->enter(place.id, wanted));
  }
  if (!entry.whole) {
    SLUICE_CHECK(fetch(entry, version, *place.listing, std::move(place.objects), wanted));
  }
  in_use_.opened(version, place.id);
  return DownloadCache::read(entry, version);
}

}  // namespace sluice::sources
