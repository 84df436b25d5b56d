#include "tools/batch/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
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
  return unavailable("unwritable", "the folder of the output's parts cannot be written: " +
                                       std::string(std::strerror(error)) +
                                       "; check that its disk has room and who may write there");
}

Result<void> put_file(const fs::path& path, std::string_view text) {
  const fs::path draft = path.native() + ".tmp";
  const Fd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return unwritable(errno);
  SLUICE_CHECK(write_all(fd, text));
  if (::fsync(fd.get()) != 0 || ::rename(draft.c_str(), path.c_str()) != 0) {
    return unwritable(errno);
  }
  return {};
}

std::string line_of(std::size_t index, const PartDone& done) {
  json line = {{"part", index},   {"rows", done.rows},   {"written", done.written},
               {"bad", done.bad}, {"bytes", done.bytes}, {"sha256", done.sha256}};
  if (!done.bad_sha256.empty()) line["bad_sha256"] = done.bad_sha256;
  return line.dump() + "\n";
}

bool read_line(std::string_view text, std::size_t& index, PartDone& done) {
  const auto line = json::parse(text, nullptr, false);
  if (!line.is_object()) return false;
  for (const char* key : {"part", "rows", "written", "bad", "bytes"}) {
    if (!line.contains(key) || !line[key].is_number_unsigned()) return false;
  }
  if (!line.contains("sha256") || !line["sha256"].is_string()) return false;
  index = line["part"];
  done.rows = line["rows"];
  done.written = line["written"];
  done.bad = line["bad"];
  done.bytes = line["bytes"];
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

Result<std::string> sha256_of(const Fd& fd) {
  Digest digest(Digest::Kind::kSha256);
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  off_t at = 0;
  while (true) {
    const auto got = ::pread(fd.get(), buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return unavailable("unreadable", "a part of the output cannot be read: " +
                                           std::string(std::strerror(errno)));
    }
    if (got == 0) return to_hex(digest.finish());
    digest.update(std::span(buffer).first(static_cast<std::size_t>(got)));
    at += got;
  }
}

fs::path Journal::part(std::size_t index) const {
  return folder_ / fmt::format("part-{:08}", index);
}

fs::path Journal::bad_rows(std::size_t index) const { return part(index).native() + ".bad"; }

Result<void> Journal::lock() {
  SLUICE_TRY(directory_, open_directory(folder_));
  if (::flock(directory_.get(), LOCK_EX | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) return unwritable(errno);
  return fail(Code::kAborted, "busy",
              "another sluice batch is at work on this output; wait for its end");
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
  SLUICE_CHECK(put_file(folder / kManifest, manifest.dump(1)));
  out.manifest_ = manifest;
  out.lines_ = Fd(::open((folder / kDone).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out.lines_ || ::fsync(out.directory_.get()) != 0) return unwritable(errno);
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
  out.lines_ = Fd(::open((folder / kDone).c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!out.lines_) return unwritable(errno);
  SLUICE_CHECK(out.read_done());
  return out;
}

bool Journal::holds(std::size_t index, const PartDone& done) const {
  return has_digest(part(index), done.sha256) &&
         (done.bad_sha256.empty() || has_digest(bad_rows(index), done.bad_sha256));
}

Result<void> Journal::read_done() {
  SLUICE_TRY(const auto text, read_text(lines_, kMostManifest, "the list of parts"));
  std::size_t good = 0;
  while (good < text.size()) {
    const auto end = text.find('\n', good);
    std::size_t index = 0;
    PartDone done;
    if (end == std::string::npos || !read_line({text.data() + good, end - good}, index, done))
      break;
    good = end + 1;
    if (holds(index, done)) {
      done_[index] = done;
    } else {
      ++spoilt_;
      done_.erase(index);
    }
  }
  if (good == text.size()) return {};
  return ::ftruncate(lines_.get(), static_cast<off_t>(good)) == 0 ? Result<void>()
                                                                  : unwritable(errno);
}

Result<void> Journal::finish(std::size_t index, PartDone done, const Fd& draft,
                             const fs::path& name, const std::string& bad) {
  if (!bad.empty()) {
    done.bad_sha256 = sha256_hex(bad);
    SLUICE_CHECK(put_file(bad_rows(index), bad));
  }
  SLUICE_TRY(done.sha256, sha256_of(draft));
  struct stat state {};
  if (::fsync(draft.get()) != 0 || ::fstat(draft.get(), &state) != 0 ||
      ::rename(name.c_str(), part(index).c_str()) != 0 || ::fsync(directory_.get()) != 0) {
    return unwritable(errno);
  }
  done.bytes = static_cast<std::uint64_t>(state.st_size);
  const std::lock_guard lock(*mutex_);
  SLUICE_CHECK(write_all(lines_, line_of(index, done)));
  if (::fdatasync(lines_.get()) != 0) return unwritable(errno);
  done_[index] = std::move(done);
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
