#include "sources/object_tree.h"

#include <algorithm>
#include <set>

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

// Whether one of these is a directory above it.
bool lies_below(const std::set<std::string>& files, const std::string& key) {
  for (auto at = key.find('/'); at != std::string::npos; at = key.find('/', at + 1)) {
    if (files.contains(key.substr(0, at))) return true;
  }
  return false;
}

// Directories that a key makes.
void add_above(const std::string& key, std::set<std::string>& out) {
  for (auto at = key.find('/'); at != std::string::npos; at = key.find('/', at + 1)) {
    out.insert(key.substr(0, at));
  }
}

// Of the look, which another may not have: the store went away, or nothing lets one in. What else
// keeps a model's configuration from being read (it fails, is gone, encrypted with a key of others,
// in an archive) is told as its model's problem. Of a pipeline's own file nobody would be told.
bool is_trouble(const Error& error, const std::filesystem::path& file) {
  if (error.code == Code::kCancelled) return true;
  if (!is_configuration(file))
    return error.code == Code::kUnavailable || error.code == Code::kNotFound;
  return error.code == Code::kUnavailable && error.reason != "store_busy" &&
         error.reason != "cut" && error.reason != "changing" && error.reason != "not_a_store";
}

}  // namespace

bool is_safe_key(std::string_view key) {
  if (key.empty() || key.size() > kMaxKey || key.find('\0') != std::string_view::npos) return false;
  for (const auto part : split(key, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > kMaxPart) return false;
  }
  return true;
}

std::vector<std::string> take_unsafe(std::vector<Object>& objects) {
  std::set<std::string> directories;
  std::set<std::string> files;
  for (const auto& object : objects) add_above(object.key, directories);
  for (const auto& object : objects) {
    if (object.size > 0) files.insert(object.key);
  }
  std::vector<std::string> out;
  std::erase_if(objects, [&](const Object& object) {
    // An empty one stands for the directory, as some tools make it.
    const bool marks = object.size == 0 && directories.contains(object.key);
    const bool safe = is_safe_key(object.key) && is_utf8(object.key) && !marks;
    if (safe && !lies_below(files, object.key)) return false;
    out.push_back(object.key);
    return true;
  });
  return out;
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
  if (trouble_) return Failure(*trouble_);  // nobody heeds what is read after that
  auto text = read_(*object);
  if (text) return text;
  auto error = std::move(text).error();
  if (is_trouble(error, file)) {
    trouble_ = error;
  } else {
    error.message = "'" + printable(object->key, 256) + "' cannot be read: " + error.message;
  }
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
