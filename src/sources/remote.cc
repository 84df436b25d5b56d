#include "sources/remote.h"

#include <algorithm>
#include <mutex>

#include "base/checked.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "base/worker.h"
#include "sources/download_cache.h"
#include "sources/manifest.h"
#include "sources/object_tree.h"
#include "sources/remote_listing.h"

namespace sluice::sources {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kMaxText = 1 << 20;
// A store that takes long to list is listed less often: at most a fifth of the time.
constexpr int kRestFactor = 4;
constexpr std::chrono::seconds kPatience{3};

class Remote final : public Source {
 public:
  Remote(Located located, Layout layout, std::unique_ptr<DownloadCache> cache,
         const RemoteOptions& options)
      : located_(std::move(located)),
        layout_(std::move(layout)),
        cache_(std::move(cache)),
        options_(options),
        settling_(located_.store->lists_whole_versions() || options.only_when_asked
                      ? std::chrono::milliseconds(0)
                      : options.settle) {}

  ~Remote() override {
    stop_ = true;
    worker_.reset();
  }

  Result<std::vector<WantedModel>> list() override;
  Result<ModelFile> open(const WantedVersion& version) override;
  Result<std::optional<ModelFile>> open_near(const WantedVersion& version) override;
  Result<ModelFile> open_far(const WantedVersion& version,
                             const std::atomic<bool>& abandoned) override;
  void watch(const std::function<void()>& changed) override {
    const std::lock_guard lock(mutex_);
    changed_ = changed;
  }

 private:
  // On the listing thread, or before there is any other.
  Result<void> look();
  // In the objects of `listing`; notes its versions.
  Result<std::vector<WantedModel>> find(Listing& listing, const ObjectTree::ReadText& read) const;
  Result<std::string> text_of(const Object& object);
  Result<void> start_from_cache(const Error& why);
  void publish(Listing listing);
  void plan_look();
  void tell_of_waiting();
  void look_again();
  void tell(const std::optional<Error>& trouble);

  // On threads of the repository's.
  using Wanted = std::function<bool()>;
  struct Place {
    std::shared_ptr<const Listing> listing;
    std::vector<Object> objects;  // that the version consists of
    std::string id;               // of the cache's entry
  };
  // The newest listing, where it still has this version as it is here; else null.
  std::shared_ptr<const Listing> listing_with(const WantedVersion& version) const;
  const Object* manifest_of(const WantedVersion& version, const Listing& listing) const;
  Result<void> fetch(DownloadCache::Entry& entry, const WantedVersion& version,
                     const Listing& listing, std::vector<Object> objects, const Wanted& wanted);
  Result<std::vector<Downloaded>> download(const DownloadCache::Entry& entry,
                                           const WantedVersion& version, const Listing& listing,
                                           std::vector<Object> objects, const Wanted& wanted);
  Result<void> read_manifest_of(const WantedVersion& version, const Listing& listing,
                                std::vector<Object>& objects);
  Result<Place> place_of(const WantedVersion& version) const;
  bool is_sound(const DownloadCache::Entry& entry);

  const Located located_;
  const Layout layout_;
  const std::unique_ptr<DownloadCache> cache_;
  const RemoteOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> reachable_{true};

  // Of the listing thread.
  Settling settling_;
  KnownTexts texts_;
  bool texts_changed_ = false;  // since they were kept
  std::vector<Object> kept_;    // as the cache has them
  std::string last_trouble_;

  mutable std::mutex mutex_;
  std::shared_ptr<const Listing> newest_;  // guarded by mutex_
  std::function<void()> changed_;          // guarded by mutex_
  bool looking_ = false;                   // or planned; guarded by mutex_
  Clock::time_point next_look_{};          // guarded by mutex_

  std::optional<Worker> worker_{"store listing"};
};

// ---- Listing ----

Result<std::vector<WantedModel>> Remote::list() {
  std::shared_ptr<const Listing> listing;
  {
    const std::lock_guard lock(mutex_);
    listing = newest_;
  }
  if (listing && !options_.only_when_asked) {
    plan_look();
    return listing->models;
  }
  if (listing) {
    const auto looked = look();
    tell(looked ? std::nullopt : std::optional(looked.error()));
    if (!looked) return listing->models;
    const std::lock_guard lock(mutex_);
    return newest_->models;
  }
  tell_of_waiting();
  if (auto looked = look(); !looked) {
    if (looked.error().code != Code::kUnavailable) return Failure(looked.error());
    SLUICE_CHECK(start_from_cache(looked.error()));
  }
  const std::lock_guard lock(mutex_);
  return newest_->models;
}

// One that hangs is given up after a minute.
void Remote::tell_of_waiting() {
  worker_->post_at(Clock::now() + kPatience, [this] {
    const std::lock_guard lock(mutex_);
    if (newest_ || stop_) return;
    log::info("waiting for " + std::string(located_.store->name()) + " to say what there is");
  });
}

void Remote::plan_look() {
  const std::lock_guard lock(mutex_);
  if (looking_ || Clock::now() < next_look_) return;
  looking_ = true;
  worker_->post([this] { look_again(); });
}

void Remote::look_again() {
  const auto began = Clock::now();
  const auto looked = look();
  if (stop_) return;  // it was broken off
  tell(looked ? std::nullopt : std::optional(looked.error()));
  const auto took = Clock::now() - began;
  {
    const std::lock_guard lock(mutex_);
    looking_ = looked && settling_.waits() && !stop_;
    next_look_ = Clock::now() + took * kRestFactor;
    if (!looking_) return;
  }
  worker_->post_at(Clock::now() + options_.settle, [this] { look_again(); });
}

void Remote::tell(const std::optional<Error>& trouble) {
  reachable_ = !trouble;
  const auto message = trouble ? trouble->message : std::string();
  if (message == std::exchange(last_trouble_, message)) return;
  if (trouble) {
    log::warn("the models cannot be listed; what was listed before goes on: " + message);
  } else {
    log::info(std::string(located_.store->name()) + " can be listed again");
  }
}

Result<void> Remote::look() {
  const auto began = Clock::now();
  Listing listing;
  SLUICE_TRY(listing.objects, located_.store->list(stop_));
  const auto& objects = listing.objects;
  std::ranges::sort(listing.objects, {}, &Object::key);
  SLUICE_TRY(auto models, find(listing, [this](const Object& object) { return text_of(object); }));
  // What is not there any more is not remembered.
  const auto gone = std::erase_if(texts_, [&](const auto& known) {
    return !std::ranges::binary_search(objects, known.first, {}, &Object::key);
  });
  if (objects != kept_ || gone > 0 || std::exchange(texts_changed_, false)) {
    cache_->keep_listing(write_listing(objects, texts_));
    kept_ = objects;
  }
  listing.models = settling_.believe(std::move(models), began);
  publish(std::move(listing));
  return {};
}

void Remote::publish(Listing listing) {
  listing.one_of_many = is_one_of_many(listing, located_.file);
  std::function<void()> changed;
  {
    const std::lock_guard lock(mutex_);
    const auto same = [](const WantedModel& a, const WantedModel& b) {
      return a.name == b.name && a.fingerprint == b.fingerprint && a.problem == b.problem &&
             std::ranges::equal(a.versions, b.versions, [](const auto& x, const auto& y) {
               return x.name == y.name && x.fingerprint == y.fingerprint && x.problem == y.problem;
             });
    };
    if (!newest_ || !std::ranges::equal(newest_->models, listing.models, same)) changed = changed_;
    newest_ = std::make_shared<const Listing>(std::move(listing));
  }
  if (changed) changed();
}

Result<std::vector<WantedModel>> Remote::find(Listing& listing,
                                              const ObjectTree::ReadText& read) const {
  const ObjectTree tree(listing.objects, read);
  if (!located_.file.empty() && tree.find(located_.file) == nullptr) {
    return not_found("no_such_path",
                     std::string(located_.store->name()) + " has no file of that name");
  }
  auto models = located_.file.empty()
                    ? Result<std::vector<WantedModel>>(layout_.find(tree, located_.name))
                    : layout_.find_file(tree, located_.file, located_.name);
  if (models) note_versions(listing, tree, *models);
  // What could not be read is not gone.
  if (const auto& trouble = tree.trouble()) return Failure(*trouble);
  return models;
}

Result<std::string> Remote::text_of(const Object& object) {
  const auto version = object.etag + "." + object.sha256 + "." + std::to_string(object.size);
  if (const auto known = texts_.find(object.key);
      known != texts_.end() && known->second.etag == version) {
    return known->second.text;
  }
  SLUICE_TRY(auto text, read_object(*located_.store, object, kMaxText, stop_));
  texts_[object.key] = {version, text};
  texts_changed_ = true;
  return text;
}

Result<void> Remote::start_from_cache(const Error& why) {
  const auto text = cache_->listing();
  Listing listing;
  KnownTexts texts;
  if (!text || !read_kept_listing(*text, listing.objects, texts)) return Failure(why);
  auto models = find(listing, [&](const Object& object) -> Result<std::string> {
    const auto known = texts.find(object.key);
    if (known == texts.end()) {  // it could not be read when the listing was kept
      return fail(Code::kFailedPrecondition, "unreadable",
                  "it is not in the cache, and the store cannot be reached now");
    }
    return known->second.text;
  });
  if (!models) return Failure(why);
  tell(why);
  log::warn("serving what the cache has; the store is asked again");
  listing.models = std::move(*models);
  for (auto& model : listing.models) {
    for (auto& version : model.versions) version.complete = true;
  }
  texts_ = std::move(texts);
  kept_ = listing.objects;
  publish(std::move(listing));
  return {};
}

// ---- Opening ----

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
  SLUICE_TRY(const auto text, read_object(*located_.store, *manifest, kMaxManifest, stop_));
  SLUICE_TRY(const auto lines, read_manifest(text));
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
bool Remote::is_sound(const DownloadCache::Entry& entry) {
  if (cache_->check(entry)) return true;
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
  if (!entry || !is_sound(*entry)) return std::optional<ModelFile>();
  SLUICE_TRY(auto file, DownloadCache::read(*entry, version));
  return std::optional(std::move(file));
}

Result<ModelFile> Remote::open_far(const WantedVersion& version,
                                   const std::atomic<bool>& abandoned) {
  SLUICE_TRY(auto place, place_of(version));
  const Wanted wanted = [&] { return !abandoned && listing_with(version) != nullptr; };
  SLUICE_TRY(auto entry, cache_->enter(place.id, wanted));
  if (entry.whole && !is_sound(entry)) {
    SLUICE_TRY(entry, cache_->enter(place.id, wanted));
  }
  if (!entry.whole) {
    SLUICE_CHECK(fetch(entry, version, *place.listing, std::move(place.objects), wanted));
  }
  return DownloadCache::read(entry, version);
}

}  // namespace

Result<std::unique_ptr<Source>> make_remote(Located located, Layout layout,
                                            const RemoteOptions& options) {
  const auto digest = sha256_hex(located.identity + '\n' + located.file).substr(0, 24);
  SLUICE_TRY(auto cache, DownloadCache::open(options.cache_directory, options.cache_bytes, digest));
  return std::make_unique<Remote>(std::move(located), std::move(layout), std::move(cache), options);
}

}  // namespace sluice::sources
