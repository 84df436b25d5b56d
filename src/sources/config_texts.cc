#include "sources/config_texts.h"

#include <algorithm>

namespace sluice::sources {
namespace {

constexpr std::uint64_t kMaxText = 1 << 20;

std::string content_of(const Object& object) {
  return object.etag + "." + object.sha256 + "." + std::to_string(object.size);
}

const std::string* find_text(const KnownTexts& texts, const Object& object) {
  const auto known = texts.find(object.key);
  const bool same = known != texts.end() && known->second.etag == content_of(object);
  return same ? &known->second.text : nullptr;
}

}  // namespace

Result<std::string> ConfigTexts::read(const Object& object) {
  if (const auto* known = find_text(texts_, object)) return *known;
  auto text = read_object(store_, object, kMaxText, stop_, tries_);
  if (!text && text.error().code == Code::kUnavailable) {
    tries_ = 1;
    failed_ = true;
    if (const auto* before = find_text(before_, object)) text = *before;
  }
  if (text) {
    texts_[object.key] = {content_of(object), *text};
    changed_ = true;
  } else if (const auto before = before_.find(object.key); before != before_.end()) {
    texts_.insert(*before);  // for a start without the store
  }
  return text;
}

Result<std::string> ConfigTexts::read_before(const Object& object) const {
  const auto known = before_.find(object.key);
  if (known == before_.end()) {  // it could not be read when the listing was kept
    return fail(Code::kFailedPrecondition, "unreadable",
                "it is not in the cache, and the store cannot be reached now");
  }
  return known->second.text;
}

void ConfigTexts::forget_others(const std::vector<Object>& objects) {
  const auto gone = std::erase_if(texts_, [&](const auto& known) {
    return !std::ranges::binary_search(objects, known.first, {}, &Object::key);
  });
  changed_ = changed_ || gone > 0;
}

}  // namespace sluice::sources
