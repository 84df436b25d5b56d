#include "sources/object_tree.h"

#include <algorithm>

#include "base/text.h"
#include "sources/layout.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kMaxKey = 1024;
constexpr std::size_t kMaxPart = 255;
constexpr std::uint64_t kMaxConfig = 1 << 20;

void sort_out(std::vector<std::string>& names) {
  std::ranges::sort(names);
  const auto rest = std::ranges::unique(names);
  names.erase(rest.begin(), rest.end());
}

// Of the look, which another may not have. What else keeps one file from being read (it is
// encrypted with a key of others, was moved to an archive) is its model's own.
bool is_trouble(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kNotFound ||
         error.code == Code::kCancelled;
}

}  // namespace

bool is_safe_key(std::string_view key) {
  if (key.empty() || key.size() > kMaxKey || key.find('\0') != std::string_view::npos) return false;
  for (const auto part : split(key, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
  }
  return true;
}

ObjectTree::ObjectTree(const std::vector<Object>& objects, ReadText read) : read_(std::move(read)) {
  for (const auto& object : objects) {
    if (!is_safe_key(object.key)) continue;
    by_key_.emplace(object.key, &object);
    std::string_view rest = object.key;
    std::string above;
    while (true) {
      const auto slash = rest.find('/');
      const auto name = std::string(rest.substr(0, slash));
      if (name.starts_with('.')) break;
      auto& names = directories_[above];
      auto& list = slash == std::string_view::npos ? names.files : names.directories;
      // Keys mostly come in order, so that most repetitions are neighbours.
      if (list.empty() || list.back() != name) list.push_back(name);
      if (slash == std::string_view::npos) break;
      above += (above.empty() ? "" : "/") + name;
      rest.remove_prefix(slash + 1);
    }
  }
  for (auto& [path, names] : directories_) {
    sort_out(names.files);
    sort_out(names.directories);
  }
}

Names ObjectTree::list(const std::filesystem::path& directory) const {
  const auto found = directories_.find(directory.string());
  return found == directories_.end() ? Names() : found->second;
}

const Object* ObjectTree::find(std::string_view key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : found->second;
}

std::string ObjectTree::fingerprint(const std::filesystem::path& file) const {
  const Object* object = find(file.string());
  if (object == nullptr) return "none";
  return std::to_string(object->size) + '.' + object->etag + '.' + object->sha256 + ';';
}

Result<std::string> ObjectTree::read(const std::filesystem::path& file,
                                     std::string_view what) const {
  const Object* object = find(file.string());
  if (object == nullptr) {
    return invalid("unsafe_path", std::string(what) + " is a directory; expected a file");
  }
  if (object->size > kMaxConfig) {
    return invalid("too_large", std::string(what) + " is larger than 1 MiB");
  }
  auto text = read_(*object);
  if (text) return text;
  if (is_trouble(text.error())) {
    if (!trouble_) trouble_ = text.error();
    return text;
  }
  auto error = std::move(text).error();
  error.message = std::string(what) + " cannot be read: " + error.message;
  return Failure(std::move(error));
}

FilePath split_file(std::string_view path, const Layout& layout) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const auto last_of = [](std::string_view text) {
    const auto slash = text.rfind('/');
    return slash == std::string_view::npos ? text : text.substr(slash + 1);
  };
  const auto above = [](std::string_view text) {
    const auto slash = text.rfind('/');
    return slash == std::string_view::npos ? std::string_view() : text.substr(0, slash);
  };
  if (is_model_yaml(path)) path = above(path);
  if (!layout.knows(last_of(path))) {
    return {std::string(path), std::string(last_of(path)), {}};
  }
  auto root = above(path);
  auto file = std::string(last_of(path));
  if (lies_in_version(path) && !above(root).empty()) {
    file = std::string(last_of(root)) + "/" + file;
    root = above(root);
  }
  return {std::string(root), std::string(last_of(root)), std::move(file)};
}

}  // namespace sluice::sources
