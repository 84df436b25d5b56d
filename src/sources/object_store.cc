#include "sources/object_store.h"

#include "base/text.h"

namespace sluice::sources {

Error about_file(const Object& object, Error error) {
  if (!error.message.starts_with('\'')) {
    error.message =
        "'" + printable(object.key.substr(object.key.rfind('/') + 1)) + "': " + error.message;
  }
  return error;
}

Result<std::string> read_object(ObjectStore& store, const Object& object, std::uint64_t limit,
                                const std::atomic<bool>& stop, int tries) {
  if (object.size > limit) {
    return invalid("too_large", "'" + printable(object.key.substr(object.key.rfind('/') + 1)) +
                                    "' is larger than " + human_bytes(limit));
  }
  if (object.size == 0) return std::string();
  const auto once = [&]() -> Result<std::string> {
    std::string out;
    const auto take = [&](std::span<const std::byte> piece) {
      out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
      return true;
    };
    SLUICE_CHECK(store.fetch(object, {0, object.size}, take, stop));
    return out;
  };
  return with_retries(stop, once, tries);
}

}  // namespace sluice::sources
