#include "tools/batch/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/digest.h"
#include "base/text.h"

namespace sluice::tools::batch {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kMostManifest = std::size_t{256} << 20;
constexpr const char* kManifest = "manifest.json";
constexpr const char* kDone = "done.jsonl";

Failure unwritable(int error) {
  return unavailable("unwritable", "the parts of the output cannot be written beside --output: " +
                                       std::string(std::strerror(error)) +
                                       "; check that the disk has room and who may write there");
}

enum class On { kDisk, kSystem };

Result<void> put_file(const fs::path& path, std::string_view text, On on) {
  const fs::path draft = path.native() + ".tmp";
  const Fd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return unwritable(errno);
  SLUICE_CHECK(write_all(fd, text));
  if ((on == On::kDisk && ::fsync(fd.get()) != 0) || ::rename(draft.c_str(), path.c_str()) != 0) {
    return unwritable(errno);
  }
  return {};
}

constexpr std::pair<const char*, std::uint64_t PartDone::*> kNumbers[] = {
    {"rows", &PartDone::rows},
    {"written", &PartDone::written},
    {"bad", &PartDone::bad},
    {"not_finite", &PartDone::not_finite},
    {"offset", &PartDone::offset},
    {"bytes", &PartDone::bytes},
    {"footer_offset", &PartDone::footer_offset},
    {"footer_bytes", &PartDone::footer_bytes}};

std::string line_of(std::size_t index, const PartDone& done) {
  json line = {{"part", index}, {"sha256", done.sha256}};
  for (const auto& [key, number] : kNumbers) line[key] = done.*number;
  if (!done.bad_sha256.empty()) line["bad_sha256"] = done.bad_sha256;
  return line.dump() + "\n";
}

bool read_line(std::string_view text, std::size_t& index, PartDone& done) {
  const auto line = json::parse(text, nullptr, false);
  if (!line.is_object() || !line.contains("part") || !line["part"].is_number_unsigned()) {
    return false;
  }
  index = line["part"];
  for (const auto& [key, number] : kNumbers) {
    if (!line.contains(key) || !line[key].is_number_unsigned()) return false;
    done.*number = line[key];
  }
  if (!line.contains("sha256") || !line["sha256"].is_string()) return false;
  done.sha256 = line["sha256"];
  if (line.contains("bad_sha256") && line["bad_sha256"].is_string()) {
    done.bad_sha256 = line["bad_sha256"];
  }
  return true;
}

bool has_digest(const fs::path& path, const std::string& digest) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return false;
  const auto found = sha256_of(fd);
  return found && *found == digest;
}

json without_times(json manifest) {
  if (!manifest.contains("input") || !manifest["input"].contains("files")) return manifest;
  for (auto& file : manifest["input"]["files"]) file.erase("modified");
  return manifest;
}

}  // namespace

Result<void> write_all(const Fd& fd, std::string_view text) {
  while (!text.empty()) {
    const auto wrote = ::write(fd.get(), text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return unwritable(wrote < 0 ? errno : ENOSPC);
    text.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return {};
}

Result<std::string> sha256_of(const Fd& fd, std::uint64_t offset, std::uint64_t length) {
  Digest digest(Digest::Kind::kSha256);
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  while (length > 0) {
    const auto got =
        ::pread(fd.get(), buffer.data(), std::min<std::uint64_t>(buffer.size(), length),
                static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return unavailable("unreadable", "a part of the output cannot be read: " +
                                           std::string(std::strerror(errno)));
    }
    if (got == 0) break;
    digest.update(std::span(buffer).first(static_cast<std::size_t>(got)));
    offset += static_cast<std::uint64_t>(got);
    length -= static_cast<std::uint64_t>(got);
  }
  return to_hex(digest.finish());
}

fs::path Journal::bad_rows(std::size_t index) const {
  return folder_ / fmt::format("part-{:08}.bad", index);
}

Result<void> Journal::lock() {
  SLUICE_TRY(directory_, open_directory(folder_));
  if (::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return unwritable(errno);
  return fail(Code::kAborted, "busy",
              "another sluice batch is at work on this output; wait for its end");
}

Result<void> Journal::open_files() {
  const auto open = [&](const fs::path& name, int more, mode_t mode) {
    return Fd(::open((folder_ / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | more, mode));
  };
  lines_ = open(kDone, O_APPEND, 0600);
  // It becomes the output; until then the folder keeps it from others.
  rows_ = std::make_unique<const Fd>(open("rows", 0, 0666));
  footers_ = std::make_unique<const Fd>(open("footers", 0, 0600));
  return lines_ && *rows_ && *footers_ ? Result<void>() : unwritable(errno);
}

Result<Journal> Journal::begin(const fs::path& folder, const json& manifest) {
  Journal out;
  out.folder_ = folder;
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return unwritable(errno);
  SLUICE_CHECK(out.lock());
  // The manifest goes first: a folder without one is nobody's.
  std::error_code error;
  fs::remove(folder / kManifest, error);
  for (const auto& entry : fs::directory_iterator(folder, error)) fs::remove(entry.path(), error);
  SLUICE_CHECK(put_file(folder / kManifest, manifest.dump(1), On::kDisk));
  out.manifest_ = manifest;
  SLUICE_CHECK(out.open_files());
  if (::fsync(out.directory_.get()) != 0) return unwritable(errno);
  return out;
}

Result<Journal> Journal::open(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::exists(folder / kManifest, ignored)) {
    return not_found("nothing_to_resume",
                     "there is nothing to go on with: no parts lie beside this output; check "
                     "--output, or leave out --resume");
  }
  Journal out;
  out.folder_ = folder;
  SLUICE_CHECK(out.lock());
  SLUICE_TRY(const auto text, read_text(folder / kManifest, kMostManifest, "the manifest"));
  out.manifest_ = json::parse(text, nullptr, false);
  if (!out.manifest_.is_object()) {
    return invalid("bad_manifest",
                   "the manifest beside this output is damaged; remove its folder "
                   "of parts and begin anew");
  }
  SLUICE_CHECK(out.open_files());
  SLUICE_CHECK(out.read_done());
  return out;
}

bool Journal::holds(std::size_t index, const PartDone& done) const {
  // The first may have a few bytes of the file's format in front.
  const bool follows =
      done_.empty() || done.offset == done_.rbegin()->second.offset + done_.rbegin()->second.bytes;
  const bool in_order = done_.empty() || index == done_.rbegin()->first + 1;
  if (!follows || !in_order || done.footer_offset != footers_end_) return false;
  const auto digest = sha256_of(*rows_, done.offset, done.bytes);
  return digest && *digest == done.sha256 &&
         (done.bad_sha256.empty() || has_digest(bad_rows(index), done.bad_sha256));
}

Result<void> Journal::read_done() {
  SLUICE_TRY(const auto text, read_text(lines_, kMostManifest, "the list of parts"));
  std::uint64_t rows_end = 0;
  std::size_t good = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    std::size_t index = 0;
    PartDone done;
    if (end == std::string::npos || !read_line({text.data() + at, end - at}, index, done)) break;
    if (spoilt_ == 0 && holds(index, done)) {
      rows_end = done.offset + done.bytes;
      footers_end_ += done.footer_bytes;
      good = end + 1;
      done_[index] = std::move(done);
    } else {
      ++spoilt_;
    }
    at = end + 1;
  }
  const auto cut = [](const Fd& fd, std::uint64_t size) {
    const auto end = static_cast<off_t>(size);
    return ::ftruncate(fd.get(), end) == 0 && ::lseek(fd.get(), end, SEEK_SET) == end;
  };
  const bool done = cut(lines_, good) && cut(*rows_, rows_end) && cut(*footers_, footers_end_);
  return done ? Result<void>() : unwritable(errno);
}

Result<void> Journal::add(std::size_t index, PartDone done, std::string_view footer,
                          const std::string& bad) {
  if (!bad.empty()) {
    done.bad_sha256 = sha256_hex(bad);
    SLUICE_CHECK(put_file(bad_rows(index), bad, On::kSystem));
  }
  done.footer_offset = footers_end_;
  done.footer_bytes = footer.size();
  SLUICE_CHECK(write_all(*footers_, footer));
  footers_end_ += footer.size();
  SLUICE_CHECK(write_all(lines_, line_of(index, done)));
  done_[index] = std::move(done);
  return {};
}

Result<void> Journal::flush() const {
  for (const Fd* fd : {rows_.get(), footers_.get(), &lines_, &directory_}) {
    if (::fsync(fd->get()) != 0) return unwritable(errno);
  }
  for (const auto& [index, done] : done_) {
    if (done.bad_sha256.empty()) continue;
    const Fd bad(::open(bad_rows(index).c_str(), O_RDONLY | O_CLOEXEC));
    if (!bad || ::fsync(bad.get()) != 0) return unwritable(errno);
  }
  return {};
}

void Journal::remove() {
  std::error_code ignored;
  fs::remove(folder_ / kManifest, ignored);
  fs::remove_all(folder_, ignored);
}

std::string difference(const json& before, const json& now, bool times) {
  const json a = times ? before : without_times(before);
  const json b = times ? now : without_times(now);
  if (a == b) return {};
  std::vector<std::string> words;
  const auto differ = [&](const char* key) { return a.value(key, json()) != b.value(key, json()); };
  if (differ("input")) words.emplace_back("the input (its files, their sizes, times or contents)");
  if (differ("model")) words.emplace_back("the model");
  const json empty = json::object();
  const json old_options = a.value("options", empty);
  const json new_options = b.value("options", empty);
  for (const auto& [key, value] : new_options.items()) {
    if (old_options.value(key, json()) != value) words.push_back("--" + key);
  }
  if (words.empty()) words.emplace_back("the version of sluice or the columns of the output");
  return join_and(words);
}

}  // namespace sluice::tools::batch
