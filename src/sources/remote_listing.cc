#include "sources/remote_listing.h"

#include <algorithm>

#include "base/digest.h"
#include "base/text.h"
#include "sources/cache_room.h"
#include "sources/json_fields.h"
#include "sources/version_files.h"

namespace sluice::sources {
namespace {

using nlohmann::json;

bool is_below(std::string_view key, std::string_view directory) {
  return directory.empty() || (key.starts_with(directory) && key.size() > directory.size() &&
                               key[directory.size()] == '/');
}

bool is_hidden(std::string_view key) {
  return key.starts_with('.') || key.find("/.") != std::string_view::npos;
}

enum class Beside { kModels, kWeights, kListed };

// What lies beside a model that has no directory of its own.
Beside beside(const std::vector<Object>& objects, bool flat) {
  if (flat) return Beside::kModels;
  const bool listed = std::ranges::find(objects, kManifest, &Object::key) != objects.end();
  return listed ? Beside::kListed : Beside::kWeights;
}

bool belongs(std::string_view key, const WantedVersion& version, Beside beside,
             const std::vector<std::string>& parts) {
  if (key == version.location) return true;
  if (is_hidden(key)) return false;
  if (!version.directory.empty()) return is_below(key, version.directory);
  // Of a pipeline: what its steps name, wherever it lies, with the weights of that.
  const auto named = [&](const std::string& part) {
    return key.starts_with(part) && key.find('/', part.size()) == std::string_view::npos;
  };
  if (std::ranges::any_of(parts, named)) return true;
  // Folders are others', unless a manifest may name what is in them.
  if (beside == Beside::kListed) return true;
  if (key.find('/') != std::string_view::npos) return false;
  // fraud.onnx, and fraud.onnx.data or fraud.onnx_data, where its weights may be.
  return beside == Beside::kWeights || key.starts_with(version.location);
}

}  // namespace

std::string key_of(const WantedVersion& version) {
  return version.name.str() + '\n' + version.location + '\n' + version.directory;
}

void note_versions(Listing& listing, const FileTree& tree, const std::vector<WantedModel>& models) {
  for (const auto& model : models) {
    for (const auto& version : model.versions) {
      auto& listed = listing.versions[key_of(version)];
      listed.fingerprint = version.fingerprint;
      if (version.directory.empty()) listed.parts = files_of_steps(tree, version.location);
    }
  }
}

bool has_still(const Listing& listing, const WantedVersion& version) {
  const auto found = listing.versions.find(key_of(version));
  return found != listing.versions.end() && found->second.fingerprint == version.fingerprint;
}

bool is_one_of_many(const Listing& listing, const std::string& file) {
  if (file.empty()) return listing.models.size() > 1;
  // A pipeline's files may refer to others, whatever these are called.
  if (file.ends_with(".yaml")) return false;
  return has_another_like(listing.objects, file);
}

std::string write_listing(const std::vector<Object>& objects, const KnownTexts& texts) {
  json listed = json::array();
  for (const auto& object : objects) {
    listed.push_back({object.key, object.size, object.etag, object.sha256, object.place});
  }
  json read = json::object();
  for (const auto& [key, known] : texts) read[key] = {{"etag", known.etag}, {"text", known.text}};
  // Keys are bytes: what is no UTF-8 is replaced, and such a model is then not found in the cache.
  return json({{"objects", std::move(listed)}, {"texts", std::move(read)}})
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

bool read_kept_listing(const std::string& text, std::vector<Object>& objects, KnownTexts& texts) {
  const auto kept = json::parse(text, nullptr, false);
  const auto* listed = member_of(kept, "objects");
  const auto* read = member_of(kept, "texts");
  if (listed == nullptr || !listed->is_array() || read == nullptr || !read->is_object()) {
    return false;
  }
  for (const auto& item : *listed) {
    const bool good = item.is_array() && item.size() == 5 && item[0].is_string() &&
                      item[1].is_number_unsigned() && item[2].is_string() && item[3].is_string() &&
                      item[4].is_string();
    if (!good) return false;
    objects.push_back({item[0].get<std::string>(), item[1].get<std::uint64_t>(),
                       item[2].get<std::string>(), item[3].get<std::string>(),
                       item[4].get<std::string>()});
  }
  for (const auto& [key, known] : read->items()) {
    texts[key] = {text_of(known, "etag"), text_of(known, "text")};
  }
  return true;
}

std::vector<Object> objects_of(const std::vector<Object>& objects, const WantedVersion& version,
                               bool flat, const std::vector<std::string>& parts) {
  std::vector<Object> out;
  const auto what = beside(objects, flat);
  for (const auto& object : objects) {
    if (belongs(object.key, version, what, parts)) out.push_back(object);
  }
  std::ranges::sort(out, {}, &Object::key);
  return out;
}

bool has_another_like(const std::vector<Object>& objects, const std::string& file) {
  // A pipeline needs what its steps name, whatever it is called.
  if (file.ends_with(".yaml")) return false;
  const auto ending = std::filesystem::path(file).extension();
  return std::ranges::any_of(objects, [&](const Object& object) {
    return object.key != file && object.key.find('/') == std::string::npos &&
           std::filesystem::path(object.key).extension() == ending;
  });
}

std::string entry_id(const std::vector<Object>& objects, const Object* manifest) {
  std::string all;
  const auto add = [&](const Object& object) {
    all += object.key + '\n' + std::to_string(object.size) + '\n' + object.etag + '\n' +
           object.sha256 + '\n';
  };
  std::ranges::for_each(objects, add);
  const bool apart = manifest != nullptr && std::ranges::find(objects, *manifest) == objects.end();
  if (apart) add(*manifest);
  return sha256_hex(all).substr(0, kEntryName);
}

Result<void> heed_manifest(const std::vector<ManifestLine>& lines, const std::string& directory,
                           const std::string& model, bool whole, std::vector<Object>& objects) {
  const auto unfinished = [](const std::string& file) {
    return unavailable("unfinished", "'" + printable(file) +
                                         "' is in manifest.sha256 or should be, but not both there "
                                         "and in the store: not all of the version is there yet");
  };
  const auto below = directory.empty() ? std::string() : directory + "/";
  for (const auto& line : lines) {
    const auto object = std::ranges::find(objects, below + line.file, &Object::key);
    if (object != objects.end()) {
      object->sha256 = line.digest;
    } else if (whole) {
      return unfinished(line.file);
    }
  }
  const auto file = std::ranges::find(objects, model, &Object::key);
  if (whole && (file == objects.end() || file->sha256.empty())) {
    return unfinished(model.substr(model.rfind('/') + 1));
  }
  return {};
}

// What is gone stays while its successor is held back: somebody has to answer meanwhile.
void Settling::keep_believed(const std::string& model, std::vector<WantedVersion>& versions,
                             std::map<std::string, WantedVersion>& believed) const {
  const auto start = model + "/";
  for (auto it = believed_.lower_bound(start);
       it != believed_.end() && it->first.starts_with(start); ++it) {
    if (believed.emplace(it->first, it->second).second) versions.push_back(it->second);
  }
}

std::vector<WantedModel> Settling::believe(std::vector<WantedModel> models, TimePoint now) {
  std::map<std::string, Seen> seen;
  std::map<std::string, WantedVersion> believed;
  waits_ = false;
  for (auto& model : models) {
    std::vector<WantedVersion> versions;
    bool held_back = false;
    for (auto& version : model.versions) {
      const auto name = model.name.str() + "/" + version.name.str();
      auto& mine = seen[name];
      const auto before = seen_.find(name);
      const bool same = before != seen_.end() && before->second.fingerprint == version.fingerprint;
      mine = same ? before->second : Seen{version.fingerprint, now};
      const bool settled = first_ || version.complete || now - mine.since >= settle_;
      const auto last = believed_.find(name);
      if (!settled) waits_ = true;
      held_back = held_back || !settled;
      if (!settled && last == believed_.end()) continue;
      if (!settled) version = last->second;
      // Seen to be settled here, where it is known when the store was asked.
      version.complete = true;
      believed.emplace(name, version);
      versions.push_back(std::move(version));
    }
    if (held_back) keep_believed(model.name.str(), versions, believed);
    model.versions = std::move(versions);
  }
  // A model of which nothing is there yet, apart from one whose configuration says what is wrong.
  if (waits_) {
    std::erase_if(
        models, [](const auto& model) { return model.versions.empty() && model.problem.empty(); });
  }
  seen_ = std::move(seen);
  believed_ = std::move(believed);
  first_ = false;
  return models;
}

}  // namespace sluice::sources
