#include "features/stores.h"

#include <set>

#include "base/hash.h"
#include "base/names.h"
#include "base/text.h"

namespace sluice {
namespace features {
namespace {

std::optional<std::string> name_problem(const std::string& name) {
  if (is_token(name)) return std::nullopt;
  return "'" + printable(name) + "' is no name of a store: letters, digits, '.', '_' and '-'";
}

std::optional<std::string> url_problem(const std::string& url) {
  if (url.find(':') != std::string::npos) return std::nullopt;
  return "expected a URL, such as redis://127.0.0.1:6379/0";
}

// "name=url" each. Sentinels have commas between them, so that a part may go on with the next one.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (const auto part : split(text, ',')) {
    const bool goes_on = !out.empty() && part.find('=') == std::string_view::npos &&
                         out.back().find("+sentinel://") != std::string_view::npos &&
                         out.back().find('/', out.back().find("://") + 3) == std::string_view::npos;
    if (!goes_on) {
      out.push_back(part);
      continue;
    }
    const auto* start = out.back().data();
    out.back() = {start, static_cast<std::size_t>(part.data() + part.size() - start)};
  }
  return out;
}

}  // namespace

const Schema<StoreOptions>& StoreOptions::schema() {
  using S = StoreOptions;
  static const auto kSchema =
      Schema<S>()
          .option("name", &S::name, "as model.yaml calls it", {name_problem})
          .option("url", &S::url,
                  "redis://, rediss://, redis+sentinel://, the three with feast+ before them, "
                  "sqlite:, feast+sqlite: or feast+http://",
                  {url_problem})
          .option("key", &S::key, "Redis: the key of an entity's hash, such as user:{user_id}")
          .option("time_field", &S::time_field,
                  "Redis: the field that has the time of the others: seconds, or RFC 3339")
          .option("project", &S::project, "Feast: the project")
          .option("key_version", &S::key_version, "Feast: entity_key_serialization_version",
                  {between<std::int64_t>(1, 3)})
          .option("cache", &S::cache, "most memory for fetched features; 0: none are kept",
                  {between(Bytes{0}, Bytes{std::uint64_t{1} << 40})})
          .option("connections", &S::connections, "round trips at the same time",
                  {between<std::int64_t>(1, 64)});
  return kSchema;
}

}  // namespace features

std::string OptionType<features::Stores>::name() { return "list of mappings | name=url,…"; }
std::string OptionType<features::Stores>::show(const features::Stores& value) {
  if (value.list.empty()) return "none";
  // Passwords are in it: told is whether it is the same.
  std::string all;
  for (const auto& store : value.list) {
    for (const auto& info : features::StoreOptions::schema().describe(store)) {
      all += info.default_value + '\0';
    }
  }
  return std::to_string(value.list.size()) + " declared, " + std::to_string(hash64(all));
}

void OptionType<features::Stores>::read(const Node& node, features::Stores& value,
                                        Problems& problems) {
  value.list.clear();
  if (node.kind == Node::Kind::kScalar) {
    for (const auto part : features::parts_of(node.scalar)) {
      if (trim(part).empty()) continue;
      const auto equals = part.find('=');
      Node one;
      one.kind = Node::Kind::kMap;
      one.place = node.place;
      one.entries.push_back(
          {"name", node.place, Node::text(std::string(trim(part.substr(0, equals))))});
      const auto url =
          equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
      one.entries.push_back({"url", node.place, Node::text(std::string(trim(url)))});
      features::StoreOptions::schema().read(one, value.list.emplace_back(), problems);
    }
  } else {
    OptionType<std::vector<features::StoreOptions>>::read(node, value.list, problems);
  }
  std::set<std::string_view> seen;
  for (const auto& store : value.list) {
    if (store.name.empty()) report(problems, node.place, "a feature store needs a name");
    if (store.url.empty()) report(problems, node.place, "a feature store needs a url");
    if (!seen.insert(store.name).second) {
      report(problems, node.place,
             "feature store '" + printable(store.name) + "' is declared twice");
    }
  }
}

}  // namespace sluice
