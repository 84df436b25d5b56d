#include "tools/batch/input.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"
#include "tools/batch/input_names.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;

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
    if (!is_hidden(relative) && wanted(relative)) out.push_back(base / relative);
  }
  if (error) {
    return invalid("unreadable",
                   "a folder of the input cannot be looked through; check who may "
                   "read it");
  }
  sort_names(out);
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
  if (::stat(path.c_str(), &state) != 0) return no_file(path);
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
    if (found.empty()) return empty_folder(path);
  } else if (!fs::exists(path, ignored) && given.contains("**")) {
    base = fixed_part(path);
    const auto pattern = base.empty() ? path : path.lexically_relative(base);
    SLUICE_TRY(found,
               files_below(base, [&](const fs::path& file) { return matches(pattern, file); }));
    if (found.empty()) return no_match(path);
  } else {
    base = fixed_part(path);
    SLUICE_TRY(found, clients::table_files(path));
  }
  return input_of(found, base);
}

Result<clients::TableFormat> one_format(const std::vector<fs::path>& files) {
  SLUICE_TRY(const auto out, clients::table_format(files.front()));
  for (const auto& file : files) {
    SLUICE_TRY(const auto format, clients::table_format(file));
    if (format == out) continue;
    return invalid("bad_table",
                   "the input has files of several kinds: " + clients::shown_name(files.front()) +
                       " and " + clients::shown_name(file) + "; read one kind at a time");
  }
  return out;
}

Result<Input> input_of(const std::vector<fs::path>& files, const fs::path& base) {
  Input out;
  SLUICE_TRY(out.format, one_format(files));
  for (const auto& file : files) {
    SLUICE_TRY(auto one, look_at(file));
    out.files.push_back(std::move(one));
  }
  SLUICE_CHECK(read_partition(out, base));
  return out;
}

Failure output_is_input() {
  return invalid("usage",
                 "--output is one of the files that --input names: a run would replace what it "
                 "reads; give the output another name, or another place");
}

Result<void> check_not_input(const Input& input, const fs::path& output) {
  const bool same = std::ranges::any_of(input.files, [&](const InputFile& file) {
    std::error_code ignored;
    return fs::equivalent(file.path, output, ignored);
  });
  return same ? output_is_input() : Result<void>();
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
