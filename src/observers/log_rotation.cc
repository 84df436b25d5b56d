#include "observers/log_rotation.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ranges>
#include <system_error>

#include "base/text.h"

namespace sluice::observers {
namespace {

namespace fs = std::filesystem;

// "20261126-170000"
constexpr std::string_view kStamp = "dddddddd-dddddd";

struct Age {
  std::string stamp;
  std::uint64_t number = 0;
  auto operator<=>(const Age&) const = default;
};

// Of a name that is ours; nobody else's file is ever removed.
std::optional<Age> age_of(const fs::path& file, const fs::path& rotated) {
  std::string_view name = rotated.native();
  const std::string prefix = file.stem().native() + "-";
  const std::string suffix = file.extension().native();
  if (name.size() < prefix.size() + suffix.size() || !name.starts_with(prefix) ||
      !name.ends_with(suffix)) {
    return std::nullopt;
  }
  name = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
  if (name.size() < kStamp.size() + 2 || name[kStamp.size()] != '-') return std::nullopt;
  const auto stamp = name.substr(0, kStamp.size());
  const bool fits = std::ranges::equal(stamp, kStamp, [](char c, char form) {
    return form == 'd' ? c >= '0' && c <= '9' : c == form;
  });
  const auto number = parse_uint(name.substr(kStamp.size() + 1));
  if (!fits || !number) return std::nullopt;
  return Age{std::string(stamp), *number};
}

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

}  // namespace

fs::path LogRotation::name_at(std::time_t now) const {
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  const std::string begin = fmt::format(
      "{}-{:04}{:02}{:02}-{:02}{:02}{:02}-", file_.stem().native(), parts.tm_year + 1900,
      parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
  std::error_code ignored;
  for (std::uint64_t number = 1;; ++number) {
    auto out = directory_of(file_) / (begin + std::to_string(number) + file_.extension().native());
    if (!fs::exists(fs::symlink_status(out, ignored))) return out;
  }
}

std::vector<fs::path> LogRotation::rotated() const {
  std::vector<std::pair<Age, fs::path>> found;
  std::error_code error;
  for (fs::directory_iterator at(directory_of(file_), error), end; !error && at != end;
       at.increment(error)) {
    if (auto age = age_of(file_, at->path().filename())) found.emplace_back(*age, at->path());
  }
  std::ranges::sort(found);
  std::vector<fs::path> out;
  for (auto& [age, path] : found) out.push_back(std::move(path));
  return out;
}

bool LogRotation::remove_oldest() const {
  if (most_files_ == kAny && most_bytes_ == kAny) return true;
  auto files = rotated();
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  bool good = true;
  for (const auto& file : files | std::views::reverse) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    bytes += error ? 0 : size;
    const bool too_many = ++count > most_files_ || bytes > most_bytes_;
    if (!too_many || count == 1) continue;
    fs::remove(file, error);
    good = good && !error;
  }
  return good;
}

}  // namespace sluice::observers
