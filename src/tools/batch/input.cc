#include "tools/batch/input.h"

#include <fnmatch.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/names.h"
#include "base/text.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

bool is_pattern(std::string_view text) { return text.find_first_of("*?[") != std::string::npos; }

// The folders at the front that are named and not matched.
fs::path fixed_part(const fs::path& pattern) {
  fs::path out;
  for (const auto& piece : pattern.parent_path()) {
    if (is_pattern(piece.string())) break;
    out /= piece;
  }
  return out;
}

using Pieces = std::vector<std::string>;

Pieces pieces_of(const fs::path& path) {
  Pieces out;
  for (const auto& piece : path) out.push_back(piece.string());
  return out;
}

bool matches(const Pieces& pattern, std::size_t p, const Pieces& path, std::size_t n) {
  if (p == pattern.size()) return n == path.size();
  if (pattern[p] == "**") {
    for (std::size_t at = n; at < path.size(); ++at) {
      if (matches(pattern, p + 1, path, at)) return true;
    }
    return false;
  }
  return n < path.size() && ::fnmatch(pattern[p].c_str(), path[n].c_str(), FNM_PERIOD) == 0 &&
         matches(pattern, p + 1, path, n + 1);
}

// What others leave beside their tables: _SUCCESS, ._copy, .crc.
bool hidden(const fs::path& relative) {
  return std::ranges::any_of(relative, [](const fs::path& piece) {
    return piece.native().starts_with('.') || piece.native().starts_with('_');
  });
}

bool is_table(const fs::path& file) { return clients::table_format(file).has_value(); }

// Every file below `base` that `wanted` takes, told by its path from there.
template <class Wanted>
Result<std::vector<fs::path>> files_below(const fs::path& base, Wanted wanted) {
  std::vector<fs::path> out;
  std::error_code error;
  const fs::path root = base.empty() ? fs::path(".") : base;
  for (auto at = fs::recursive_directory_iterator(root, error);
       !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    std::error_code ignored;
    if (!at->is_regular_file(ignored)) continue;
    const auto relative = at->path().lexically_relative(root);
    if (!hidden(relative) && wanted(relative)) out.push_back(base / relative);
  }
  if (error) {
    return invalid("unreadable",
                   "a folder of the input cannot be looked through; check who may "
                   "read it");
  }
  std::ranges::sort(out, [](const fs::path& a, const fs::path& b) {
    return natural_compare(a.native(), b.native()) < 0;
  });
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](std::size_t at) {
      constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
      return at < text.size() ? kDigits.find(text[at]) : std::string_view::npos;
    };
    if (text[i] == '%' && digit(i + 1) < 32 && digit(i + 2) < 32) {
      out += static_cast<char>(digit(i + 1) % 16 * 16 + digit(i + 2) % 16);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Result<void> read_partition(Input& input, const fs::path& base) {
  bool first = true;
  for (auto& file : input.files) {
    std::vector<std::string> names;
    const auto folders = file.path.parent_path().lexically_relative(base.empty() ? "." : base);
    for (const auto& piece : base.empty() ? file.path.parent_path() : folders) {
      const std::string text = piece.string();
      const auto equals = text.find('=');
      if (equals == std::string::npos || equals == 0) continue;
      names.push_back(percent_decoded(text.substr(0, equals)));
      auto value = percent_decoded(text.substr(equals + 1));
      const bool null = value == "__HIVE_DEFAULT_PARTITION__";
      file.partition.push_back(null ? std::nullopt : std::optional(std::move(value)));
    }
    if (first) input.partition = names;
    first = false;
    if (names != input.partition) {
      return invalid("bad_table",
                     "the input's files lie in folders name=value of different names; "
                     "read those of one kind at a time");
    }
  }
  return {};
}

Result<InputFile> look_at(const fs::path& path) {
  struct stat state {};
  if (::stat(path.c_str(), &state) != 0) {
    return not_found("no_table", "there is no file " + clients::shown_name(path) +
                                     "; check its name and its directory");
  }
  InputFile out;
  out.path = path;
  out.size = static_cast<std::uint64_t>(state.st_size);
  out.modified = state.st_mtim.tv_sec * 1'000'000'000LL + state.st_mtim.tv_nsec;
  return out;
}

}  // namespace

Result<Input> find_input(const std::string& given) {
  std::error_code ignored;
  fs::path path = given;
  fs::path base;
  std::vector<fs::path> found;
  if (fs::is_directory(path, ignored)) {
    base = path;
    SLUICE_TRY(found, files_below(path, is_table));
    if (found.empty()) {
      return not_found("no_table", "the folder " + clients::shown_name(path) +
                                       " has no file that ends with .parquet, .csv, .jsonl or "
                                       ".ndjson");
    }
  } else if (!fs::exists(path, ignored) && given.contains("**")) {
    base = fixed_part(path);
    const auto pattern = pieces_of(base.empty() ? path : path.lexically_relative(base));
    SLUICE_TRY(found, files_below(base, [&](const fs::path& file) {
                 return matches(pattern, 0, pieces_of(file), 0);
               }));
    if (found.empty()) {
      return not_found("no_table", "there is no file that " + clients::shown_name(path) +
                                       " matches; check the pattern and its directory");
    }
  } else {
    base = fixed_part(path);
    SLUICE_TRY(found, clients::table_files(path));
  }
  Input out;
  SLUICE_TRY(out.format, clients::table_format(found.front()));
  for (const auto& file : found) {
    SLUICE_TRY(const auto format, clients::table_format(file));
    if (format != out.format) {
      return invalid("bad_table",
                     "the input has files of several kinds: " + clients::shown_name(found.front()) +
                         " and " + clients::shown_name(file) + "; read one kind at a time");
    }
    SLUICE_TRY(auto one, look_at(file));
    out.files.push_back(std::move(one));
  }
  SLUICE_CHECK(read_partition(out, base));
  return out;
}

Result<clients::OpenTable> open_input(const Input& input, std::size_t file) {
  const InputFile& was = input.files[file];
  SLUICE_TRY(auto table, clients::open_table(was.path, input.format));
  struct stat state {};
  const bool known = ::fstat(table.fd.get(), &state) == 0;
  const auto modified = state.st_mtim.tv_sec * 1'000'000'000LL + state.st_mtim.tv_nsec;
  if (known && static_cast<std::uint64_t>(state.st_size) == was.size && modified == was.modified) {
    return table;
  }
  return unavailable("changing", clients::shown_name(was.path) +
                                     " was changed while it was read; begin again when nobody "
                                     "writes it");
}

}  // namespace sluice::tools::batch
