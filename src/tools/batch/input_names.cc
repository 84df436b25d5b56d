#include "tools/batch/input_names.h"

#include <fnmatch.h>

#include <algorithm>

#include "base/names.h"
#include "clients/duckdb_files.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

using Pieces = std::vector<std::string>;

Pieces pieces_of(const fs::path& path) {
  Pieces out;
  for (const auto& piece : path) out.push_back(piece.string());
  return out;
}

bool match_pieces(const Pieces& pattern, std::size_t p, const Pieces& path, std::size_t n) {
  if (p == pattern.size()) return n == path.size();
  if (pattern[p] == "**") {
    for (std::size_t at = n; at < path.size(); ++at) {
      if (match_pieces(pattern, p + 1, path, at)) return true;
    }
    return false;
  }
  return n < path.size() && ::fnmatch(pattern[p].c_str(), path[n].c_str(), FNM_PERIOD) == 0 &&
         match_pieces(pattern, p + 1, path, n + 1);
}

fs::path below(const fs::path& path, const fs::path& base) {
  return base.empty() ? path : path.lexically_relative(base);
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  const auto relative = below(path, folder);
  return !relative.empty() && *relative.begin() != ".." && relative != ".";
}

}  // namespace

bool is_pattern(std::string_view text) { return text.find_first_of("*?[") != std::string::npos; }

fs::path fixed_part(const fs::path& pattern) {
  fs::path out;
  for (const auto& piece : pattern.parent_path()) {
    if (is_pattern(piece.string())) break;
    out /= piece;
  }
  return out;
}

bool matches(const fs::path& pattern, const fs::path& path) {
  return match_pieces(pieces_of(pattern), 0, pieces_of(path), 0);
}

bool is_hidden(const fs::path& relative) {
  return std::ranges::any_of(relative, [](const fs::path& piece) {
    return piece.native().starts_with('.') || piece.native().starts_with('_');
  });
}

bool is_table(const fs::path& file) { return clients::table_format(file).has_value(); }

void sort_names(std::vector<fs::path>& names) {
  std::ranges::sort(names, [](const fs::path& a, const fs::path& b) {
    return natural_compare(a.native(), b.native()) < 0;
  });
}

Result<Named> find_names(const fs::path& given, const std::vector<fs::path>& names) {
  if (std::ranges::find(names, given) != names.end()) return Named{{given}, fixed_part(given)};
  Named out;
  const bool pattern = is_pattern(given.native());
  out.base = pattern ? fixed_part(given) : given;
  const auto wanted = below(given, out.base);
  // Of a pattern without ** the folders are said, and what they are called is the asker's business.
  const bool any_depth = !pattern || given.native().contains("**");
  for (const auto& name : names) {
    if (!lies_in(name, out.base)) continue;
    const auto relative = below(name, out.base);
    if (any_depth && is_hidden(relative)) continue;
    if (pattern ? matches(wanted, relative) : is_table(name)) out.files.push_back(name);
  }
  if (!out.files.empty()) return sort_names(out.files), out;
  if (pattern) return no_match(given);
  const bool folder =
      std::ranges::any_of(names, [&](const fs::path& name) { return lies_in(name, given); });
  return folder ? empty_folder(given) : no_file(given);
}

Failure no_file(const fs::path& given) {
  return not_found("no_table", "there is no file " + clients::shown_name(given) +
                                   "; check its name and its directory");
}

Failure empty_folder(const fs::path& folder) {
  return not_found("no_table", "the folder " + clients::shown_name(folder) +
                                   " has no file that ends with .parquet, .csv, .jsonl or "
                                   ".ndjson");
}

Failure no_match(const fs::path& pattern) {
  return not_found("no_table", "there is no file that " + clients::shown_name(pattern) +
                                   " matches; check the pattern and its directory");
}

}  // namespace sluice::tools::batch
