#include "tools/yaml/model_yaml_blocks.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/json_writer.h"
#include "base/text.h"
#include "config/yaml.h"
#include "sources/model_yaml.h"

namespace sluice::tools {
namespace {

std::string quote(std::string_view text) {
  std::string out;
  JsonWriter(out).value(text);
  return out;
}

// A word that YAML reads as text without quotes, whichever reader it is.
bool plain_word(std::string_view text) {
  static constexpr std::array kTaken = {"true", "false", "null", "yes", "no", "on",
                                        "off",  "y",     "n",    "inf", "nan"};
  if (text.empty() || (std::isalpha(static_cast<unsigned char>(text[0])) == 0 && text[0] != '_')) {
    return false;
  }
  const bool simple = std::ranges::all_of(
      text, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
  return simple &&
         std::ranges::none_of(kTaken, [&](const char* word) { return iequals(text, word); });
}

// A value that was written without quotes must stay so: "1" is a text, 1 a number.
std::string scalar_text(const Node& node) {
  const bool simple = !node.scalar.empty() && std::ranges::all_of(node.scalar, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_.+-/%").find(c) != std::string_view::npos;
  });
  const bool starts_well = simple && node.scalar != "-" && !node.scalar.starts_with("---");
  return !node.quoted && starts_well ? node.scalar : quote(node.scalar);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = std::min(text.find('\n', at), text.size() - 1);
    out.push_back(text.substr(at, end - at + 1));
    at = end + 1;
  }
  if (!out.empty() && out.back().back() != '\n') out.back() += '\n';
  return out;
}

// Nothing, or a comment at the edge of the page: belongs to what follows.
bool between_keys(const std::string& line) {
  return trim(line) == "\n" || trim(line) == "\r\n" || line[0] == '#' || trim(line).empty();
}

// Puts each block where the key was, or at the end.
std::string put_blocks(const std::string& old, const Node& root,
                       const std::vector<YamlBlock>& blocks) {
  auto lines = lines_of(old);
  std::string tail;
  for (const auto& block : blocks) {
    const auto found = std::ranges::find(root.entries, block.key, &NodeEntry::key);
    if (found == root.entries.end()) {
      tail += block.text;
      continue;
    }
    const auto first = static_cast<std::size_t>(found->place.line - 1);
    const auto next = found + 1;
    auto end =
        next == root.entries.end() ? lines.size() : static_cast<std::size_t>(next->place.line - 1);
    while (end > first + 1 && between_keys(lines[end - 1])) --end;
    // Lines keep their numbers: the other blocks are found by them.
    for (std::size_t i = first; i < end; ++i) lines[i].clear();
    lines[first] = block.text;
  }
  std::string out;
  for (const auto& line : lines) out += line;
  return out + tail;
}

std::string rewritten(const Node& root, const std::vector<YamlBlock>& blocks) {
  std::string out;
  const auto block_of = [&](const std::string& key) {
    return std::ranges::find(blocks, key, &YamlBlock::key);
  };
  for (const auto& entry : root.entries) {
    const auto block = block_of(entry.key);
    out += block != blocks.end() ? block->text
                                 : yaml_name(entry.key) + ": " + yaml_flow(entry.value) + "\n";
  }
  for (const auto& block : blocks) {
    if (root.find(block.key) == nullptr) out += block.text;
  }
  return out;
}

// Equal, wherever it stands and however it is written.
bool same(const Node& one, const Node& other) {
  if (one.kind != other.kind || one.scalar != other.scalar || one.quoted != other.quoted ||
      one.items.size() != other.items.size() || one.entries.size() != other.entries.size()) {
    return false;
  }
  for (std::size_t i = 0; i < one.items.size(); ++i) {
    if (!same(one.items[i], other.items[i])) return false;
  }
  for (std::size_t i = 0; i < one.entries.size(); ++i) {
    if (one.entries[i].key != other.entries[i].key) return false;
    if (!same(one.entries[i].value, other.entries[i].value)) return false;
  }
  return true;
}

// Every other key says what it said.
bool keeps_the_rest(const std::string& text, const Node& root,
                    const std::vector<YamlBlock>& blocks) {
  Problems problems;
  const auto merged = config::parse_yaml(text, problems);
  if (!merged) return false;
  return std::ranges::all_of(root.entries, [&](const NodeEntry& entry) {
    if (std::ranges::find(blocks, entry.key, &YamlBlock::key) != blocks.end()) return true;
    const Node* found = merged->find(entry.key);
    return found != nullptr && same(*found, entry.value);
  });
}

Result<void> check(const std::string& text, std::string_view what) {
  const auto read = sources::read_model_yaml(text);
  if (read.problems.empty()) return {};
  return invalid("bad_config",
                 std::string(what) + config::show_problem("model.yaml", read.problems[0]));
}

bool in_lines(const Node& root) {
  int last = 0;
  for (const auto& entry : root.entries) {
    if (entry.place.column != 1 || entry.place.line <= last) return false;
    last = entry.place.line;
  }
  return true;
}

}  // namespace

std::string yaml_name(std::string_view text) {
  return plain_word(text) ? std::string(text) : quote(text);
}

std::string yaml_flow(const Node& node) {
  std::string out;
  switch (node.kind) {
    case Node::Kind::kNull: return "null";
    case Node::Kind::kScalar: return scalar_text(node);
    case Node::Kind::kList:
      for (const auto& item : node.items) out += (out.empty() ? "" : ", ") + yaml_flow(item);
      return "[" + out + "]";
    case Node::Kind::kMap:
      for (const auto& entry : node.entries) {
        out += (out.empty() ? "" : ", ") + yaml_name(entry.key) + ": " + yaml_flow(entry.value);
      }
      return "{" + out + "}";
  }
  return out;
}

Result<MergedYaml> put_into_model_yaml(const std::string& old, const std::vector<YamlBlock>& blocks,
                                       std::string_view what) {
  SLUICE_CHECK(check(old, "what is there has a mistake; correct it first: "));
  Problems problems;
  const Node root = config::parse_yaml(old, problems).value_or(Node());
  MergedYaml out;
  if (in_lines(root)) out.text = put_blocks(old, root, blocks);
  if (out.text.empty() || !keeps_the_rest(out.text, root, blocks)) {
    out.text = rewritten(root, blocks);
    out.comments_lost = true;
  }
  SLUICE_CHECK(check(out.text, what));
  return out;
}

}  // namespace sluice::tools
