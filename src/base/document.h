// A configuration text as a tree that remembers where each piece stood.
//
// config/ fills it from YAML; command-line flags and environment variables fill it too, so that all
// three are read by the same option declarations and give the same messages.
//
// Thread-safety: plain values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// Lines and columns count from 1; 0 means "not from a file".
struct Place {
  int line = 0;
  int column = 0;
};

struct NodeEntry;

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  Place place;
  std::string scalar;
  bool quoted = false;  // "1" in quotes is text, never a number
  std::vector<Node> items;
  std::vector<NodeEntry> entries;

  // Declared here and defined below, where NodeEntry is complete.
  Node();
  Node(const Node&);
  Node(Node&&) noexcept;
  Node& operator=(const Node&);
  Node& operator=(Node&&) noexcept;
  ~Node();

  static Node text(std::string value);
  const Node* find(std::string_view key) const;
};

struct NodeEntry {
  std::string key;
  Place place;
  Node value;
};

inline Node::Node() = default;
inline Node::Node(const Node&) = default;
inline Node::Node(Node&&) noexcept = default;
inline Node& Node::operator=(const Node&) = default;
inline Node& Node::operator=(Node&&) noexcept = default;
inline Node::~Node() = default;

inline Node Node::text(std::string value) {
  Node node;
  node.kind = Kind::kScalar;
  node.scalar = std::move(value);
  return node;
}

inline const Node* Node::find(std::string_view key) const {
  for (const auto& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

// One mistake in a configuration, and where it is.
struct Problem {
  Place place;
  std::string message;
  std::string key{};  // the option's, "agreement.tolerance"; empty: of the mapping as a whole
};
using Problems = std::vector<Problem>;

}  // namespace sluice
