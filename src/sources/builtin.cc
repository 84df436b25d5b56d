#include "sources/builtin.h"

#include <array>
#include <filesystem>

#include "base/text.h"
#include "sources/local_dir.h"
#include "sources/stores.h"

namespace sluice::sources {
namespace {

struct Kind {
  std::string_view scheme;
  Result<Located> (*open)(std::string_view url, const Layout& layout,
                          const Environment& environment);
};

// A new store: one file, one line in stores.h and one here.
constexpr std::array<Kind, 5> kKinds = {{{"s3", open_s3},
                                         {"gs", open_gcs},
                                         {"https", open_https},
                                         {"http", open_https},
                                         {"mlflow", open_mlflow}}};

std::string_view scheme_of(std::string_view text) {
  const auto end = text.find("://");
  return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
}

// As the stores write it: a scheme may be in capitals.
std::string with_scheme(std::string_view scheme, const std::string& url) {
  return std::string(scheme) + url.substr(scheme.size());
}

}  // namespace

bool is_url(std::string_view text) { return !scheme_of(text).empty(); }

Result<std::unique_ptr<Source>> make_source(const std::string& path_or_url, Layout layout,
                                            const RemoteOptions& options, bool named) {
  const auto scheme = scheme_of(path_or_url);
  if (scheme.empty()) return make_local_dir(path_or_url, std::move(layout));
  std::vector<std::string> known;
  for (const auto& kind : kKinds) {
    if (iequals(kind.scheme, scheme)) {
      SLUICE_TRY(auto located,
                 kind.open(with_scheme(kind.scheme, path_or_url), layout, process_environment));
      if (!located.nameless.empty() && !named) {
        return invalid("invalid_name", std::move(located.nameless));
      }
      return make_remote(std::move(located), std::move(layout), options);
    }
    known.push_back(std::string(kind.scheme) + "://");
  }
  return invalid("bad_url", "models cannot be read from '" + printable(scheme) +
                                "://'; there are " + join_and(known) + ", and paths on this disk");
}

std::string default_cache_directory(const std::string& state_directory) {
  if (!state_directory.empty() && state_directory != ":memory:") {
    return (std::filesystem::path(state_directory) / "cache").string();
  }
  if (const auto cache = process_environment("XDG_CACHE_HOME")) return *cache + "/sluice";
  if (const auto home = process_environment("HOME")) return *home + "/.cache/sluice";
  return (std::filesystem::temp_directory_path() / "sluice-cache").string();
}

}  // namespace sluice::sources
