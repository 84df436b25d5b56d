// The store behind sources/bucket.h: reading is in bucket.cc, writing in bucket_write.cc.
//
// Thread-safety: that of WritableStore.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "sources/bucket.h"
#include "sources/store_http.h"

namespace sluice::sources {

class Bucket final : public WritableStore {
 public:
  Bucket(BucketPlace place, Authorize authorize, OnRegion on_region)
      : title_(std::move(place.title)),
        prefix_(std::move(place.prefix)),
        not_signed_(std::move(place.not_signed)),
        file_(std::move(place.file)),
        no_folder_(std::move(place.no_folder)),
        authorize_(std::move(authorize)),
        on_region_(std::move(on_region)),
        address_(std::make_shared<const BucketAddress>(std::move(place.address))) {}

  std::string_view name() const override { return title_; }
  Result<std::vector<Object>> list(const std::atomic<bool>& stop) override;
  Result<std::vector<Object>> list_below(const std::string& prefix,
                                         const std::atomic<bool>& stop) override;
  Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                        const std::atomic<bool>& stop) override;
  Details details(const Object& object, const std::atomic<bool>& stop) override;

  Result<std::optional<Object>> look(const std::string& key) override;
  Result<Stored> put(const std::string& key, const Payload& payload,
                     const std::atomic<bool>& stop) override;
  Result<void> remove(const std::string& key) override;
  Result<std::string> begin_parts(const std::string& key) override;
  Result<Stored> put_part(const std::string& key, const std::string& upload, int number,
                          const Payload& payload, const std::atomic<bool>& stop) override;
  Result<Stored> end_parts(const std::string& key, const std::string& upload,
                           const std::vector<UploadedPart>& parts) override;
  Result<void> drop_parts(const std::string& key, const std::string& upload) override;

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;
  // A request before it is signed. The key is whole.
  struct Ask {
    std::string method;
    std::string key;
    Query query;
    clients::HttpHeaders headers;
    std::string payload;  // the body's SHA-256; empty: there is none
  };

  std::shared_ptr<const BucketAddress> address() const;
  Result<clients::HttpRequest> prepare(const Ask& ask, const BucketAddress& address) const;
  // With another try where the bucket is in another region than was thought. `more` adds what is
  // not signed: the body, limits of time.
  template <class More>
  Result<clients::HttpAnswer> send(const Ask& ask, More more);
  std::uint64_t part_size(const Object& object, const std::atomic<bool>& stop) const;
  Result<Stored> send_payload(Ask ask, const Payload& payload, const std::atomic<bool>& stop);
  // A folder's own files, or with all that is in folders below it.
  enum class Depth { kFolder, kAll };
  Result<ListingPage> page(const std::string& prefix, Depth depth, const std::string& token,
                           const std::atomic<bool>& stop);
  Result<std::vector<Object>> list_pages(const std::string& prefix, Depth depth,
                                         const std::atomic<bool>& stop,
                                         std::size_t most = kMaxObjects);
  Result<std::vector<Object>> list_for_file(const std::atomic<bool>& stop);
  Result<std::vector<Object>> look_for_file(const Error& refused, const std::atomic<bool>& stop);
  Result<void> check_folder(const std::atomic<bool>& stop);
  // With what the store's own word means.
  Result<void> check(const clients::HttpAnswer& answer) const;
  // Whether there is another address by now than the one that was asked.
  bool is_elsewhere(const clients::HttpAnswer& answer,
                    const std::shared_ptr<const BucketAddress>& asked);

  const std::string title_;
  const std::string prefix_;
  const std::string not_signed_;
  const std::string file_;
  const std::string no_folder_;
  const Authorize authorize_;
  const OnRegion on_region_;
  const clients::HttpClient client_;
  mutable std::atomic<bool> signed_{true};  // the last request
  mutable std::mutex mutex_;
  std::shared_ptr<const BucketAddress> address_;  // never null; guarded by mutex_
  // Of `list`.
  bool told_ = false;         // that nothing may be listed
  bool sought_file_ = false;  // where nothing lies below the prefix
};

// Whether an object's ETag can be a digest of it, by the headers of an answer about it.
bool etag_counts(const clients::HttpHeaders& headers);

// In quotes, as listings and If-Match have them.
std::string quoted_etag(const clients::HttpHeaders& headers);

template <class More>
Result<clients::HttpAnswer> Bucket::send(const Ask& ask, More more) {
  for (int tries = 0;; ++tries) {
    const auto asked = address();
    SLUICE_TRY(auto request, prepare(ask, *asked));
    more(request);
    auto answer = client_.send(request);
    if (!answer) {
      return Failure(unanswered(std::move(answer).error(), title_, request.url));
    }
    if (tries > 0 || !is_elsewhere(*answer, asked)) return answer;
  }
}

}  // namespace sluice::sources
