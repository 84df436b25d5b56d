// A place of objects with keys: a bucket, a web server's directory, a model registry.
//
// It lists everything below what it was opened for and fetches pieces of objects. It knows nothing
// of models (sources/layout.h), of the cache (sources/download_cache.h) or of when to try again
// (sources/retry.h): each function tries once.
//
// To add one: write `sources/<name>.cc` and a line in sources/builtin.cc.
//
// Thread-safety: `list` by one thread at a time, everything else by any number beside it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "sources/checksum.h"
#include "sources/layout.h"
#include "sources/manifest.h"
#include "sources/retry.h"

namespace sluice::sources {

struct Object {
  std::string key;  // path below the root, with slashes
  std::uint64_t size = 0;
  std::string etag;    // changes when the content does; empty where nothing says so
  std::string sha256;  // of the content, in hexadecimal digits, where that is known
  std::string place;   // the store's own, where the key does not say it

  friend bool operator==(const Object&, const Object&) = default;
};

struct Range {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// What the store said of an object while it was fetched.
struct Fetched {
  bool etag_is_digest = true;  // false: encrypted there with keys that make another ETag
};

// What a store says of an object when it is asked for more than a listing has.
struct Details {
  std::uint64_t part_size = 0;  // of one uploaded in parts; 0 where nobody knows
  std::optional<Checksum> checksum;
};

using ByteSink = std::function<bool(std::span<const std::byte>)>;

class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  // For people, without an address: "the S3 bucket".
  virtual std::string_view name() const = 0;
  // Every object. `stop` ends it early, here and below. Errors: kUnavailable where another try may
  // go better; kPermissionDenied; kNotFound for a store that does not exist; kResourceExhausted
  // when there are too many; kCancelled when stopped.
  virtual Result<std::vector<Object>> list(const std::atomic<bool>& stop) = 0;
  // Hands the range to `sink`, all of it or an error. Errors as above; kUnavailable/`changing` when
  // the object is another by now.
  virtual Result<Fetched> fetch(const Object& object, Range range, const ByteSink& sink,
                                const std::atomic<bool>& stop) = 0;
  // Nothing where it cannot be had: nobody depends on it.
  virtual Details details(const Object& object, const std::atomic<bool>& stop) {
    (void)object;
    (void)stop;
    return {};
  }
  // True: what is listed was said to be there as a whole, so that nobody has to see it stay the
  // same.
  virtual bool lists_whole_versions() const { return false; }
  // False: only whole objects can be fetched, from their beginning.
  virtual bool has_ranges() const { return true; }
  // Where the digests in a listing come from, for messages.
  virtual std::string_view digests_are_in() const { return kManifest; }
  // What to do where a file has none.
  virtual std::string_view digest_advice() const { return "a manifest.sha256 beside it helps"; }
};

// Puts the file's name before what is said of it, unless it is there already.
Error about_file(const Object& object, Error error);

// The whole of a small object, in several tries where need be. Errors: those of `fetch`;
// kInvalidArgument/`too_large`; messages do not name it.
Result<std::string> read_object(ObjectStore& store, const Object& object, std::uint64_t limit,
                                const std::atomic<bool>& stop, int tries = kTries);

// No store lists more: the prefix is meant to hold models.
inline constexpr std::size_t kMaxObjects = 2'000'000;

// What a URL stands for.
struct Located {
  std::unique_ptr<ObjectStore> store;
  std::string name;      // of the root, for where it is one model's own directory
  std::string file;      // only this one; else everything
  std::string identity;  // of store and root: what tells them apart in the cache; never shown
  // Why its one model needs a name of the caller's choosing; empty: it has its own.
  std::string nameless{};
};

// Splits "a/b/v1/model.onnx" into the root that is listed and the file in it, where it is one.
struct FilePath {
  std::string root;  // without a slash at its end
  std::string name;  // the root's last part
  std::string file;  // below the root; empty for a directory
};
FilePath split_file(std::string_view path, const Layout& layout);

}  // namespace sluice::sources
