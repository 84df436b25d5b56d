// The source behind sources/remote.h: listing is in remote.cc, opening in remote_open.cc.
//
// Thread-safety: that of Source.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/worker.h"
#include "sources/config_texts.h"
#include "sources/download_cache.h"
#include "sources/entries_in_use.h"
#include "sources/object_tree.h"
#include "sources/remote.h"
#include "sources/remote_listing.h"

namespace sluice::sources {

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
                      : options.settle),
        texts_(*located_.store, stop_) {}

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
  using Clock = std::chrono::steady_clock;

  // On the listing thread, or before there is any other.
  Result<void> look();
  // In the objects of `listing`; notes its versions.
  Result<std::vector<WantedModel>> find(Listing& listing, const ObjectTree::ReadText& read) const;
  Result<void> start_from_cache(const Error& why);
  void read_cache();
  void keep(const std::vector<Object>& objects);
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
  // Of the listing thread as well.
  void touch_entries();
  Result<Place> place_of(const WantedVersion& version) const;
  bool is_sound(const DownloadCache::Entry& entry, const Place& place);

  const Located located_;
  const Layout layout_;
  const std::unique_ptr<DownloadCache> cache_;
  const RemoteOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> reachable_{true};

  // Of the listing thread.
  Settling settling_;
  ConfigTexts texts_;
  std::optional<std::vector<Object>> kept_;  // the listing as the cache has it
  bool keeps_ = true;                        // it could be kept last time
  std::string last_trouble_;
  Clock::time_point next_touch_{};

  EntriesInUse in_use_;

  mutable std::mutex mutex_;
  std::shared_ptr<const Listing> newest_;  // guarded by mutex_
  std::function<void()> changed_;          // guarded by mutex_
  bool looking_ = false;                   // or planned; guarded by mutex_
  Clock::time_point next_look_{};          // guarded by mutex_

  std::optional<Worker> worker_{"store listing"};
};

}  // namespace sluice::sources
