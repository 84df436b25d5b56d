#include "sources/remote_source.h"

#include <algorithm>

#include "base/digest.h"
#include "base/log.h"
#include "base/text.h"
#include "sources/cache_room.h"

namespace sluice::sources {
namespace {

// A store that takes long to list is listed less often: at most a fifth of the time.
constexpr int kRestFactor = 4;
constexpr std::chrono::seconds kPatience{3};
constexpr std::chrono::minutes kTouchEvery{1};

}  // namespace

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
  read_cache();
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
  // Also while the store cannot be reached: others may share the cache.
  if (began >= next_touch_) {
    touch_entries();
    next_touch_ = began + kTouchEvery;
  }
  Listing listing;
  SLUICE_TRY(listing.objects, located_.store->list(stop_));
  std::ranges::sort(listing.objects, {}, &Object::key);
  texts_.begin_look();
  SLUICE_TRY(auto models,
             find(listing, [this](const Object& object) { return texts_.read(object); }));
  texts_.forget_others(listing.objects);
  keep(listing.objects);
  listing.models = settling_.believe(std::move(models), began);
  publish(std::move(listing));
  return {};
}

// Where that fails it is tried at each look: a full disk may have room again.
void Remote::keep(const std::vector<Object>& objects) {
  if (kept_ == objects && !texts_.changed()) return;
  const bool done = cache_->keep_listing(write_listing(objects, texts_.texts()));
  if (done) {
    kept_ = objects;
    texts_.kept();
  }
  if (std::exchange(keeps_, done) == done) return;
  if (done) {
    log::info("the listing of the store is kept in the cache again");
  } else {
    log::warn(
        "the listing of the store cannot be kept in the cache; a start without the store will not "
        "know what there is now");
  }
}

// Their entries are the last that make room.
void Remote::touch_entries() {
  std::shared_ptr<const Listing> listing;
  {
    const std::lock_guard lock(mutex_);
    listing = newest_;
  }
  if (!listing) return;
  for (const auto& id : in_use_.wanted(listing->models)) cache_->touch(id);
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

// What a process before this one knew of the store.
void Remote::read_cache() {
  const auto text = cache_->listing();
  std::vector<Object> objects;
  KnownTexts texts;
  if (!text || !read_kept_listing(*text, objects, texts)) return;
  kept_ = std::move(objects);
  texts_.set_before(std::move(texts));
}

Result<void> Remote::start_from_cache(const Error& why) {
  if (!kept_) return Failure(why);
  Listing listing;
  listing.objects = *kept_;
  auto models = find(listing, [this](const Object& object) { return texts_.read_before(object); });
  if (!models) return Failure(why);
  tell(why);
  log::warn("serving what the cache has; the store is asked again");
  listing.models = std::move(*models);
  for (auto& model : listing.models) {
    for (auto& version : model.versions) version.complete = true;
  }
  publish(std::move(listing));
  return {};
}

Result<std::unique_ptr<Source>> make_remote(Located located, Layout layout,
                                            const RemoteOptions& options) {
  const auto digest = sha256_hex(located.identity + '\n' + located.file).substr(0, kStoreName);
  SLUICE_TRY(auto cache, DownloadCache::open(options.cache_directory, options.cache_bytes, digest));
  return std::make_unique<Remote>(std::move(located), std::move(layout), std::move(cache), options);
}

}  // namespace sluice::sources
