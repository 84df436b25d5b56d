#include "sources/download.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/log.h"
#include "base/name_list.h"
#include "base/priority.h"
#include "base/text.h"
#include "sources/cache_disk.h"
#include "sources/object_tree.h"
#include "sources/piece_writer.h"
#include "sources/retry.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTellEvery{3};
// The digest and the notes follow what arrives in steps of these sizes.
constexpr std::uint64_t kStep = std::uint64_t{1} << 20;
constexpr std::uint64_t kNoteStep = std::uint64_t{4} << 20;
constexpr std::size_t kMaxNotes = std::size_t{64} << 20;

// What cannot be a file on a disk cannot be a part of a model either: on a disk it would not be
// there.
DownloadPlan without_unsafe(DownloadPlan plan) {
  const auto unsafe = take_unsafe(plan.objects);
  if (unsafe.empty()) return plan;
  log::warn(
      plan.title + ": left out " + name_list(unsafe) +
      ", which cannot be files: between slashes there must be 1 to 255 bytes of UTF-8, neither "
      "'.' nor '..', and nothing can lie below what is a file");
  return plan;
}

std::string file_of(const Object& object) {
  return "'" + printable(object.key.substr(object.key.rfind('/') + 1)) + "'";
}

ObjectDigest::Verdict check_against(const Checksum& checksum, std::span<const std::byte> bytes) {
  ObjectDigest digest(checksum);
  digest.arrived(bytes);
  return digest.finish(true);
}

}  // namespace

Download::Download(ObjectStore& store, DownloadPlan plan, std::function<bool()> wanted)
    : store_(store), plan_(without_unsafe(std::move(plan))), wanted_(std::move(wanted)) {}

Result<void> Download::open_files() {
  for (const auto& object : plan_.objects) {
    const auto path = plan_.directory / object.key;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    File file;
    file.fd = std::make_shared<const Fd>(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!*file.fd || ::ftruncate(file.fd->get(), static_cast<off_t>(object.size)) != 0) {
      return cache_failure(errno);
    }
    files_.push_back(std::move(file));
    total_ += object.size;
  }
  notes_ = Fd(::open(plan_.notes.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!notes_) return cache_failure(errno);
  return {};
}

void Download::cut_in_pieces() {
  const auto most = store_.has_ranges() ? plan_.piece : std::uint64_t(-1);
  for (std::size_t i = 0; i < plan_.objects.size(); ++i) {
    const auto size = plan_.objects[i].size;
    for (std::uint64_t at = 0; at < size; at += std::min(most, size - at)) {
      pieces_.push_back({i, {at, std::min(most, size - at)}});
    }
  }
}

// The pieces lie in order.
Download::Piece* Download::piece_at(std::uint64_t object, std::uint64_t offset) {
  const auto key = [](const Piece& piece) {
    return std::pair<std::uint64_t, std::uint64_t>(piece.object, piece.range.offset);
  };
  const auto wanted = std::pair(object, offset);
  const auto at = std::ranges::lower_bound(pieces_, wanted, {}, key);
  return at != pieces_.end() && key(*at) == wanted ? &*at : nullptr;
}

// Lines of "object offset arrived": so much is there of the piece that begins there. A fourth word
// where the store said that the object's ETag is no digest. They are of these same objects: the
// directory is named by them.
void Download::read_notes() {
  const auto text = read_text(plan_.notes, kMaxNotes, "the note of what was fetched");
  if (!text) return;
  for (const auto line : split(*text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() != 3 && words.size() != 4) continue;
    const auto object = parse_uint(words[0]);
    const auto offset = parse_uint(words[1]);
    const auto arrived = parse_uint(words[2]);
    if (!object || !offset || !arrived) continue;
    Piece* piece = piece_at(*object, *offset);
    if (piece == nullptr || *arrived > piece->range.length) continue;
    if (*arrived < piece->range.length && !store_.has_ranges()) continue;
    piece->arrived = piece->noted = std::max(piece->arrived, *arrived);
    piece->done = piece->arrived == piece->range.length;
    if (words.size() == 4) files_[piece->object].etag_counts = false;
  }
  for (const auto& piece : pieces_) received_ += piece.arrived;
  if (received_ > 0) {
    log::info(plan_.title + ": goes on after " + human_bytes(received_) + " of " +
              human_bytes(total_));
  }
}

// By the piece's own thread, and not under the lock: a disk may take its time. Where it cannot be
// noted it is fetched again some day: that is all.
void Download::note(const Piece& piece, std::string_view remark) {
  const auto line = std::to_string(piece.object) + ' ' + std::to_string(piece.range.offset) + ' ' +
                    std::to_string(piece.arrived) + std::string(remark) + '\n';
  [[maybe_unused]] const auto noted = ::write(notes_.get(), line.data(), line.size());
}

// What was received before a cut is kept: the next try asks for the rest.
Result<Fetched> Download::fetch(std::size_t index, std::span<std::byte> buffer) {
  const auto object = pieces_[index].object;
  const auto range = pieces_[index].range;
  std::uint64_t told = pieces_[index].arrived;  // noted by a process before this one
  PieceWriter writer(*files_[object].fd, *files_[object].writing, range.offset, told, buffer);
  const auto take = [&](std::span<const std::byte> bytes) {
    if (!writer.add(bytes)) return false;
    received_ += bytes.size();
    // Without ranges another try writes all of it anew: what was digested must stay.
    // Nor is its end told before the store has said what the ETag is worth.
    const auto written = writer.written();
    if (store_.has_ranges() && written >= told + kStep && written < range.length) {
      tell_arrived(index, told = written);
    }
    return true;
  };
  auto fetched = with_retries(stop_, [&]() -> Result<Fetched> {
    if (!store_.has_ranges()) received_ -= writer.restart();
    const auto had = writer.written();
    const Range rest{range.offset + had, range.length - had};
    auto result = store_.fetch(plan_.objects[object], rest, take, stop_);
    if (writer.error() == 0) writer.flush();
    if (writer.error() != 0) return fail(Code::kAborted, "disk_failed", "");
    return result;
  });
  if (writer.error() != 0) return cache_failure(writer.error());
  if (!fetched) return Failure(about_file(plan_.objects[object], std::move(fetched).error()));
  return fetched;
}

void Download::tell_arrived(std::size_t index, std::uint64_t bytes) {
  Piece& piece = pieces_[index];
  {
    const std::lock_guard lock(mutex_);
    piece.arrived = bytes;
    changed_.notify_all();
  }
  // All of it is noted at its end, when the store has said what its ETag is worth.
  if (bytes < piece.noted + kNoteStep || bytes == piece.range.length) return;
  note(piece, "");
  piece.noted = bytes;
}

void Download::finish_piece(std::size_t index, const Result<Fetched>& fetched) {
  Piece& piece = pieces_[index];
  {
    const std::lock_guard lock(mutex_);
    if (fetched) {
      piece.done = true;
      piece.arrived = piece.range.length;
      if (!fetched->etag_is_digest) files_[piece.object].etag_counts = false;
    } else {
      if (!error_) error_ = fetched.error();
      stop_ = true;
    }
    changed_.notify_all();
  }
  if (fetched) note(piece, fetched->etag_is_digest ? "" : " encrypted");
}

void Download::work() {
  pthread_setname_np(pthread_self(), "download");
  lower_priority();  // those that answer requests go first
  std::vector<std::byte> buffer(PieceWriter::kBuffer);
  while (!stop_) {
    const auto index = next_++;
    if (index >= pieces_.size()) return;
    if (pieces_[index].done) continue;  // noted before any of these threads began
    finish_piece(index, fetch(index, buffer));
  }
}

void Download::tell_progress() {
  const auto now = Clock::now();
  if (now - told_ < kTellEvery) return;
  told_ = now;
  const auto received = received_.load();
  const auto seconds = std::chrono::duration<double>(now - began_).count();
  const auto rate = static_cast<std::uint64_t>(static_cast<double>(received) / seconds);
  log::info(plan_.title + ": downloading, " + human_bytes(received) + " of " + human_bytes(total_) +
            " (" + std::to_string(total_ > 0 ? received * 100 / total_ : 100) + " %), " +
            human_bytes(rate) + " a second");
}

// Tells how far it is, and breaks off what nobody wants any more, whatever the others wait for.
void Download::watch(const std::stop_token& done) {
  std::unique_lock lock(mutex_);
  while (!done.stop_requested()) {
    lock.unlock();
    tell_progress();
    const bool go_on = wanted_();
    lock.lock();
    if (!go_on) break;
    watching_.wait_for(lock, done, std::chrono::milliseconds(200), [] { return false; });
  }
  if (done.stop_requested()) return;
  if (!error_) error_ = Error{Code::kCancelled, "stopped", "nobody wants it any more", {}};
  stop_ = true;
  changed_.notify_all();
}

// What broke it off, where something has.
Result<void> Download::go_on() {
  const std::lock_guard lock(mutex_);
  if (error_) return Failure(*error_);
  return {};
}

// How much of a piece is there, more than `at`; nothing when no more will come.
std::optional<std::uint64_t> Download::wait_for(std::size_t index, std::uint64_t at) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return pieces_[index].arrived > at || error_; });
  return error_ ? std::nullopt : std::optional(pieces_[index].arrived);
}

// Follows what arrives of the piece.
Result<void> Download::digest_piece(std::size_t index, const FileBytes& file,
                                    ObjectDigest& digest) {
  const auto range = pieces_[index].range;
  for (std::uint64_t at = 0; at < range.length;) {
    const auto arrived = wait_for(index, at);
    if (!arrived) return Failure(go_on().error());
    digest.arrived(file.bytes().first(range.offset + *arrived));
    at = *arrived;
  }
  return {};
}

// `piece` is the first of this object, and then of the next.
Result<Downloaded> Download::check_object(std::size_t index, std::size_t& piece) {
  const auto& object = plan_.objects[index];
  const bool asks = ObjectDigest::needs_details(object);
  auto details = asks ? store_.details(object, stop_) : Details();
  SLUICE_CHECK(go_on());
  SLUICE_TRY(const auto file, FileBytes::map(files_[index].fd, "a file of the cache"));
  ObjectDigest digest(object, details);
  for (; piece < pieces_.size() && pieces_[piece].object == index; ++piece) {
    SLUICE_CHECK(digest_piece(piece, file, digest));
  }
  bool etag_counts = true;
  {
    const std::lock_guard lock(mutex_);
    etag_counts = files_[index].etag_counts;
  }
  auto verdict = digest.finish(etag_counts);
  if (!verdict.checked) {
    // Its ETag said nothing after all.
    if (!asks) details = store_.details(object, stop_);
    SLUICE_CHECK(go_on());  // what was broken off says nothing of the object
    if (details.checksum) verdict = check_against(*details.checksum, file.bytes());
  }
  SLUICE_CHECK(judge(object, verdict, file.bytes()));
  return Downloaded{object.key, object.size, verdict.record};
}

Result<void> Download::judge(const Object& object, const ObjectDigest::Verdict& verdict,
                             std::span<const std::byte> bytes) {
  const auto name = file_of(object);
  if (!verdict.right && !object.sha256.empty()) {
    return unavailable("damaged", "the SHA-256 of " + name + " is " +
                                      verdict.record.substr(verdict.record.find(':') + 1) +
                                      ", but " + std::string(store_.digests_are_in()) + " says " +
                                      object.sha256 +
                                      ": that is of another file, or this one was damaged");
  }
  if (!verdict.right) {
    return unavailable("damaged", name +
                                      " is not what the store's digest of it says: it was damaged "
                                      "on the way, or in the store");
  }
  if (verdict.checked) return {};
  all_checked_ = false;
  if (!verdict.strange_parts) {
    unchecked_.push_back(printable(object.key.substr(object.key.rfind('/') + 1)));
    return {};
  }
  SLUICE_TRY(const bool same, comes_the_same_again(object, bytes));
  if (!same) {
    return unavailable("damaged", name +
                                      " was not the same when it was fetched once more: it was "
                                      "damaged on the way");
  }
  log::warn(plan_.title + ": the ETag of " + name +
            " fits none of the usual sizes of parts: it was uploaded in parts of another size, or "
            "was damaged in the store. It was fetched twice, and was the same. A manifest.sha256 "
            "beside it tells");
  return {};
}

// What was damaged on the way would hardly be so twice in the same manner.
Result<bool> Download::comes_the_same_again(const Object& object,
                                            std::span<const std::byte> bytes) {
  for (std::uint64_t at = 0; at < object.size;) {
    const Range range{at,
                      store_.has_ranges() ? std::min(plan_.piece, object.size - at) : object.size};
    bool same = true;
    auto fetched = with_retries(stop_, [&]() -> Result<Fetched> {
      auto expected = bytes.subspan(range.offset, range.length);
      same = true;
      const auto compare = [&](std::span<const std::byte> piece) {
        same = same && piece.size() <= expected.size() &&
               std::memcmp(piece.data(), expected.data(), piece.size()) == 0;
        expected = expected.subspan(std::min(piece.size(), expected.size()));
        return same;
      };
      auto result = store_.fetch(object, range, compare, stop_);
      return same ? result : Result<Fetched>(Fetched{});  // it was broken off here
    });
    // Where something else broke it off, that is what to say.
    SLUICE_CHECK(go_on());
    if (!fetched) return Failure(about_file(object, std::move(fetched).error()));
    if (!same) return false;
    at += range.length;
  }
  return true;
}

Result<std::vector<Downloaded>> Download::check() {
  std::vector<Downloaded> out;
  std::size_t piece = 0;
  for (std::size_t i = 0; i < plan_.objects.size(); ++i) {
    SLUICE_TRY(auto checked, check_object(i, piece));
    out.push_back(std::move(checked));
  }
  if (!unchecked_.empty()) tell_unchecked();
  return out;
}

void Download::tell_unchecked() const {
  const auto others = unchecked_.size() - 1;
  log::warn(plan_.title + ": nothing is known that the content of '" + unchecked_.front() + "'" +
            (others == 0 ? "" : " and " + std::to_string(others) + " more") +
            " could be checked against; the length is right; " +
            std::string(store_.digest_advice()));
}

Result<std::vector<Downloaded>> Download::run() {
  SLUICE_CHECK(open_files());
  cut_in_pieces();
  read_notes();
  began_ = told_ = Clock::now();
  std::vector<std::jthread> threads;
  const auto count =
      std::min<std::size_t>(static_cast<std::size_t>(plan_.connections), pieces_.size());
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
  std::jthread watcher([this](const std::stop_token& done) { watch(done); });
  auto out = check();
  stop_ = true;
  watcher = {};
  threads.clear();
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began_);
  if (out) {
    log::info(plan_.title + ": downloaded" + (all_checked_ ? " and checked" : "") + ", " +
              human_bytes(total_) + " in " + std::to_string(took.count()) + " ms");
  }
  return out;
}

}  // namespace sluice::sources
