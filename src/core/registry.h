// An explicit list of implementations by name. Filled once by the composition root from each
// folder's `builtin` list; no static initialisers, so what exists is readable in one place.
//
// Thread-safety: read-only after start-up.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

template <class T>
class Registry {
 public:
  void add(std::string_view name, std::shared_ptr<const T> item) {
    items_.emplace_back(name, std::move(item));
  }
  const T* find(std::string_view name) const {
    for (const auto& [key, item] : items_) {
      if (key == name) return item.get();
    }
    return nullptr;
  }
  // In order of registration.
  const auto& items() const { return items_; }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [key, item] : items_) out.push_back(key);
    return out;
  }

 private:
  std::vector<std::pair<std::string, std::shared_ptr<const T>>> items_;
};

}  // namespace sluice
