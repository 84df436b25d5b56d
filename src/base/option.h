// How an option is declared: once, beside the code that uses it.
//
//   struct ListenOptions {
//     std::string http = "0.0.0.0:8000";
//     static const Schema<ListenOptions>& schema();
//   };
//   const Schema<ListenOptions>& ListenOptions::schema() {
//     static const auto kSchema = Schema<ListenOptions>()
//         .option("http", &ListenOptions::http, "where the REST API listens");
//     return kSchema;
//   }
//
// Reading, messages with line and column, suggestions for unknown keys, `sluice config check` and
// the reference documentation all derive from the declaration. Every mistake is reported, not only
// the first.
//
// Thread-safety: a schema is immutable once built.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"

namespace sluice {

using Millis = std::chrono::milliseconds;

// A number of bytes that is written "64MiB" in configuration.
struct Bytes {
  std::uint64_t value = 0;
  friend auto operator<=>(const Bytes&, const Bytes&) = default;
};

// What the reference documentation says of one option.
struct OptionInfo {
  std::string key;  // dotted path
  std::string type;
  std::string default_value;
  std::string help;
};

// How a type is read and shown. A type of our own either specialises this or has a `schema()`.
template <class T>
struct OptionType;

template <class T>
concept HasSchema = requires {
  T::schema();
};

void report(Problems& problems, const Place& place, std::string message);
// False, with a problem reported, unless `node` is a scalar; `expected` names the type.
bool expect_scalar(const Node& node, std::string_view expected, Problems& problems);
bool expect_kind(const Node& node, Node::Kind kind, std::string_view expected, Problems& problems);

// Mistakes in the value of `key` know whose they are.
inline void name_key(std::span<Problem> problems, const std::string& key) {
  for (auto& problem : problems) problem.key = key + (problem.key.empty() ? "" : "." + problem.key);
}

template <class S>
class Schema {
 public:
  // Extra demands on a value: the message of what is wrong, or nothing.
  template <class M>
  using Check = std::function<std::optional<std::string>(const M&)>;

  template <class M>
  Schema& option(std::string_view key, M S::*member, std::string_view help,
                 const Check<M>& check = nullptr) {
    Declared declared;
    declared.key = key;
    declared.read = [member, check](const Node& node, S& target, Problems& problems) {
      const auto before = problems.size();
      read_value(node, target.*member, problems);
      if (check && problems.size() == before) {
        if (auto wrong = check(target.*member)) report(problems, node.place, *wrong);
      }
    };
    declared.describe = [key = std::string(key), member, help = std::string(help)](
                            const S& defaults, std::vector<OptionInfo>& out) {
      describe_value(key, defaults.*member, help, out);
    };
    declared_.push_back(std::move(declared));
    return *this;
  }

  // Reads every key of `node` into `target`; reports unknown and repeated keys.
  void read(const Node& node, S& target, Problems& problems) const {
    if (node.kind == Node::Kind::kNull) return;
    if (!expect_kind(node, Node::Kind::kMap, "a mapping of options", problems)) return;
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      const auto& entry = node.entries[i];
      if (repeated(node, i)) {
        report(problems, entry.place, "key '" + entry.key + "' is given twice");
      } else if (const Declared* declared = find(entry.key)) {
        const auto before = problems.size();
        declared->read(entry.value, target, problems);
        name_key(std::span(problems).subspan(before), entry.key);
      } else {
        report(problems, entry.place, unknown_key(entry.key));
      }
    }
  }

  std::vector<std::string_view> keys() const {
    std::vector<std::string_view> out;
    for (const auto& declared : declared_) out.push_back(declared.key);
    return out;
  }

  std::vector<OptionInfo> describe() const { return describe(S{}); }
  // The same with the values that these options have, in place of the defaults.
  std::vector<OptionInfo> describe(const S& values) const {
    std::vector<OptionInfo> out;
    for (const auto& declared : declared_) declared.describe(values, out);
    return out;
  }

 private:
  struct Declared {
    std::string key;
    std::function<void(const Node&, S&, Problems&)> read;
    std::function<void(const S&, std::vector<OptionInfo>&)> describe;
  };

  template <class M>
  static void read_value(const Node& node, M& value, Problems& problems) {
    if constexpr (HasSchema<M>) {
      M::schema().read(node, value, problems);
    } else {
      OptionType<M>::read(node, value, problems);
    }
  }

  template <class M>
  static void describe_value(const std::string& key, const M& value, const std::string& help,
                             std::vector<OptionInfo>& out) {
    if constexpr (HasSchema<M>) {
      for (auto info : M::schema().describe(value)) {
        info.key = key + "." + info.key;
        out.push_back(std::move(info));
      }
    } else {
      out.push_back({key, OptionType<M>::name(), OptionType<M>::show(value), help});
    }
  }

  const Declared* find(std::string_view key) const {
    for (const auto& declared : declared_) {
      if (declared.key == key) return &declared;
    }
    return nullptr;
  }

  static bool repeated(const Node& node, std::size_t index) {
    for (std::size_t i = 0; i < index; ++i) {
      if (node.entries[i].key == node.entries[index].key) return true;
    }
    return false;
  }

  std::string unknown_key(const std::string& key) const;

  std::vector<Declared> declared_;
};

std::string unknown_key_message(std::string_view key, const std::vector<std::string_view>& known);

template <class S>
std::string Schema<S>::unknown_key(const std::string& key) const {
  return unknown_key_message(key, keys());
}

#define SLUICE_OPTION_TYPE(T)                                         \
  template <>                                                         \
  struct OptionType<T> {                                              \
    static std::string name();                                        \
    static std::string show(const T& value);                          \
    static void read(const Node& node, T& value, Problems& problems); \
  };
SLUICE_OPTION_TYPE(bool)
SLUICE_OPTION_TYPE(std::int64_t)
SLUICE_OPTION_TYPE(double)
SLUICE_OPTION_TYPE(std::string)
SLUICE_OPTION_TYPE(Millis)
SLUICE_OPTION_TYPE(Bytes)

// An option that may be left out altogether.
template <class T>
struct OptionType<std::optional<T>> {
  static std::string name() {
    if constexpr (HasSchema<T>) {
      return "mapping";
    } else {
      return OptionType<T>::name();
    }
  }
  static std::string show(const std::optional<T>& value) {
    if constexpr (HasSchema<T>) {
      return value ? "given" : "not given";
    } else {
      return value ? OptionType<T>::show(*value) : "not given";
    }
  }
  static void read(const Node& node, std::optional<T>& value, Problems& problems) {
    if (node.kind == Node::Kind::kNull) return value.reset();
    value.emplace();
    if constexpr (HasSchema<T>) {
      T::schema().read(node, *value, problems);
    } else {
      OptionType<T>::read(node, *value, problems);
    }
  }
};

template <class T>
struct OptionType<std::vector<T>> {
  static std::string name() {
    if constexpr (HasSchema<T>) {
      return "list of mappings";
    } else {
      return "list of " + OptionType<T>::name();
    }
  }
  static std::string show(const std::vector<T>& value) { return value.empty() ? "none" : "given"; }
  static void read(const Node& node, std::vector<T>& value, Problems& problems) {
    if (!expect_kind(node, Node::Kind::kList, name(), problems)) return;
    value.assign(node.items.size(), T{});
    for (std::size_t i = 0; i < value.size(); ++i) {
      if constexpr (HasSchema<T>) {
        T::schema().read(node.items[i], value[i], problems);
      } else {
        OptionType<T>::read(node.items[i], value[i], problems);
      }
    }
  }
};

// One word of a fixed set. `Words` has `static constexpr std::array<std::pair<std::string_view,
// E>, N> kWords`.
template <class E, class Words>
struct WordOption {
  static std::string name() {
    std::string out;
    for (const auto& [word, unused] : Words::kWords) {
      out += (out.empty() ? "" : " | ") + std::string(word);
    }
    return out;
  }
  static std::string show(const E& value) {
    for (const auto& [word, candidate] : Words::kWords) {
      if (candidate == value) return std::string(word);
    }
    return {};
  }
  static void read(const Node& node, E& value, Problems& problems) {
    if (!expect_scalar(node, name(), problems)) return;
    std::vector<std::string_view> known;
    for (const auto& [word, candidate] : Words::kWords) {
      if (word == node.scalar) {
        value = candidate;
        return;
      }
      known.push_back(word);
    }
    report(problems, node.place, "'" + node.scalar + "' is not one of the choices: " + name());
  }
};

// Range checks for `Schema::option`.
template <class T>
auto between(T low, T high) {
  return [low, high](const T& value) -> std::optional<std::string> {
    if (value >= low && value <= high) return std::nullopt;
    return OptionType<T>::show(value) + " is out of range; expected " + OptionType<T>::show(low) +
           " to " + OptionType<T>::show(high);
  };
}

}  // namespace sluice
