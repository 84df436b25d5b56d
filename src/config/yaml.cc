#include "config/yaml.h"

#include <yaml-cpp/yaml.h>

namespace sluice::config {
namespace {

constexpr int kMaxDepth = 32;
constexpr int kMaxNodes = 100'000;  // aliases can make a small text into a huge tree

class Converter {
 public:
  explicit Converter(Problems& problems) : problems_(problems) {}

  Node convert(const YAML::Node& from, int depth) {
    Node out;
    out.place = place_of(from);
    if (depth > kMaxDepth || ++count_ > kMaxNodes) {
      if (!failed_) problems_.push_back({out.place, "the document is too deep or too large"});
      failed_ = true;
      return out;
    }
    switch (from.Type()) {
      case YAML::NodeType::Scalar:
        out.kind = Node::Kind::kScalar;
        out.scalar = from.Scalar();
        out.quoted = from.Tag() == "!";
        break;
      case YAML::NodeType::Sequence:
        out.kind = Node::Kind::kList;
        for (const auto& item : from) out.items.push_back(convert(item, depth + 1));
        break;
      case YAML::NodeType::Map: convert_map(from, depth, out); break;
      default: break;
    }
    return out;
  }
  bool failed() const { return failed_; }

 private:
  static Place place_of(const YAML::Node& node) {
    const auto mark = node.Mark();
    return {mark.line + 1, mark.column + 1};
  }

  void convert_map(const YAML::Node& from, int depth, Node& out) {
    out.kind = Node::Kind::kMap;
    for (const auto& pair : from) {
      if (!pair.first.IsScalar()) {
        problems_.push_back({place_of(pair.first), "a key must be a single word"});
        failed_ = true;
        continue;
      }
      out.entries.push_back(
          {pair.first.Scalar(), place_of(pair.first), convert(pair.second, depth + 1)});
    }
  }

  Problems& problems_;
  int count_ = 0;
  bool failed_ = false;
};

}  // namespace

std::optional<Node> parse_yaml(const std::string& text, Problems& problems) {
  try {
    const auto documents = YAML::LoadAll(text);
    if (documents.empty()) return Node();
    if (documents.size() > 1) {
      problems.push_back({{1, 1}, "the file has more than one YAML document"});
      return std::nullopt;
    }
    Converter converter(problems);
    Node out = converter.convert(documents[0], 0);
    if (converter.failed()) return std::nullopt;
    return out;
  } catch (const YAML::Exception& error) {
    problems.push_back(
        {{error.mark.line + 1, error.mark.column + 1}, "not valid YAML: " + error.msg});
    return std::nullopt;
  }
}

std::string show_problem(std::string_view file, const Problem& problem) {
  std::string out(file);
  if (problem.place.line > 0) {
    out += ":" + std::to_string(problem.place.line) + ":" + std::to_string(problem.place.column);
  }
  return out + ": " + problem.message;
}

}  // namespace sluice::config
