#include "sources/upload.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/digest.h"
#include "base/text.h"
#include "clients/http.h"
#include "sources/object_digest.h"
#include "sources/retry.h"

namespace sluice::sources {
namespace {

constexpr std::size_t kBuffer = 256 << 10;
constexpr std::size_t kMaxNotes = 4 << 20;
constexpr std::uint64_t kMiB = 1 << 20;

Failure unreadable(int error) {
  return unavailable("unreadable",
                     std::string("the file to upload cannot be read: ") + std::strerror(error));
}

bool is_md5(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// Of an object, or of its parts.
bool is_digest(std::string_view etag) {
  return parts_of_etag(etag) > 0 || (etag.size() == 34 && is_md5(etag.substr(1, 32)));
}

// An ETag of another form says nothing (other stores, other ways of encrypting).
Result<void> check_etag(const Stored& stored, const std::string& md5) {
  if (!stored.etag_is_digest || stored.etag.size() < 2) return {};
  const auto etag = std::string_view(stored.etag).substr(1, stored.etag.size() - 2);
  if (!is_md5(etag) || etag == md5) return {};
  return unavailable("damaged",
                     "the store has other bytes than were sent: they were damaged on "
                     "the way, or by another who writes the same object");
}

// The first line of a note: whose upload it is.
struct Note {
  std::string key;
  std::string id;
  std::uint64_t size = 0;
  std::uint64_t part = 0;
  std::vector<std::string_view> lines;  // the rest
};

std::string first_line(const std::string& key, const std::string& id, std::uint64_t size,
                       std::uint64_t part) {
  return clients::percent_encode(key, false) + ' ' + clients::percent_encode(id, false) + ' ' +
         std::to_string(size) + ' ' + std::to_string(part) + '\n';
}

std::optional<Note> parse_note(std::string_view text) {
  auto lines = split(text, '\n');
  const auto words = lines.empty() ? std::vector<std::string_view>() : split(lines[0], ' ');
  if (words.size() != 4) return std::nullopt;
  const auto size = parse_uint(words[2]);
  const auto part = parse_uint(words[3]);
  if (!size || !part) return std::nullopt;
  lines.erase(lines.begin());
  return Note{clients::percent_decode(words[0]), clients::percent_decode(words[1]), *size, *part,
              std::move(lines)};
}

}  // namespace

std::uint64_t part_size_for(std::uint64_t size, std::uint64_t least) {
  const auto needed = (size + kMostParts - 1) / kMostParts;
  return needed <= least ? least : (needed + kMiB - 1) / kMiB * kMiB;
}

Upload::Upload(WritableStore& store, UploadPlan plan, std::atomic<std::uint64_t>& sent,
               const std::atomic<bool>& stop)
    : store_(store), plan_(std::move(plan)), sent_(sent), stop_(stop) {}

Result<Uploaded> Upload::run() {
  fd_ = Fd(::open(plan_.file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat state {};
  if (!fd_ || ::fstat(fd_.get(), &state) != 0) return unreadable(errno);
  size_ = static_cast<std::uint64_t>(state.st_size);
  if (size_ > kLargestObject) {
    return invalid("too_large", std::string(store_.name()) + " takes no object of more than " +
                                    human_bytes(kLargestObject) + "; write several");
  }
  part_ = part_size_for(size_, plan_.part);
  count_ = static_cast<int>((size_ + part_ - 1) / part_);
  SLUICE_TRY(const bool there, is_known());
  if (there) return Uploaded{size_, plan_.known->etag};
  SLUICE_TRY(const auto stored, size_ <= part_ ? at_once() : in_parts());
  SLUICE_TRY(const auto found, with_retries(stop_, [&] { return store_.look(plan_.key); }));
  // Some stores make ETags of another kind for an answer than for what they have put together.
  const bool comparable = found && is_digest(stored.etag) && is_digest(found->etag);
  const bool same = found && found->size == size_ && (!comparable || found->etag == stored.etag);
  if (same) return Uploaded{size_, found->etag};
  return unavailable("changing", std::string(store_.name()) +
                                     " has another object now than the one that was uploaded; "
                                     "does somebody else write it?");
}

Result<Payload> Upload::payload_of(std::uint64_t offset, std::uint64_t length) const {
  Digest md5(Digest::Kind::kMd5);
  Digest sha256(Digest::Kind::kSha256);
  std::vector<std::byte> buffer(kBuffer);
  for (std::uint64_t at = 0; at < length;) {
    const auto got =
        ::pread(fd_.get(), buffer.data(), std::min<std::uint64_t>(buffer.size(), length - at),
                static_cast<off_t>(offset + at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return unreadable(got < 0 ? errno : EIO);
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(got));
    md5.update(piece);
    sha256.update(piece);
    at += piece.size();
  }
  return Payload{&fd_, offset, length, md5.finish(), to_hex(sha256.finish())};
}

// By its ETag, where that is one that S3 makes.
Result<bool> Upload::is_known() {
  if (!plan_.known || plan_.known->size != size_) return false;
  const auto parts = parts_of_etag(plan_.known->etag);
  if (parts != (count_ > 1 ? static_cast<std::uint64_t>(count_) : 0)) return false;
  for (int number = 1; number <= std::max(1, count_); ++number) {
    const auto offset = part_ * static_cast<std::uint64_t>(number - 1);
    SLUICE_TRY(const auto payload, payload_of(offset, std::min(part_, size_ - offset)));
    done_[number] = {to_hex(payload.md5), ""};
  }
  const auto etag = count_ > 1 ? digest_of_parts() : done_.begin()->second.md5;
  done_.clear();
  if (plan_.known->etag != '"' + etag + '"') return false;
  sent_ += size_;
  return true;
}

Result<Stored> Upload::at_once() {
  SLUICE_TRY(const auto payload, payload_of(0, size_));
  auto stored = with_retries(stop_, [&]() -> Result<Stored> {
    SLUICE_TRY(auto out, store_.put(plan_.key, payload, stop_));
    SLUICE_CHECK(check_etag(out, to_hex(payload.md5)));
    return out;
  });
  if (stored) sent_ += size_;
  return stored;
}

// ---- in parts ----------------------------------------------------------------------------------

// What is noted of an upload of this file to this place; false: there is nothing to go on with.
bool Upload::read_notes() {
  const auto text = read_text(plan_.notes, kMaxNotes, "the note of an upload");
  const auto note = text ? parse_note(*text) : std::nullopt;
  if (!note || note->key != plan_.key || note->size != size_ || note->part != part_) return false;
  id_ = note->id;
  for (const auto line : note->lines) {
    const auto words = split(line, ' ');
    const auto number = words.size() == 3 ? parse_int(words[0]) : std::nullopt;
    if (!number || *number < 1 || *number > count_ || !is_md5(words[1])) continue;
    done_[static_cast<int>(*number)] = {std::string(words[1]), std::string(words[2])};
  }
  return true;
}

void Upload::write_note(const std::string& line) {
  // What cannot be noted is sent again some day: that is all.
  [[maybe_unused]] const auto noted = ::write(notes_.get(), line.data(), line.size());
}

Result<void> Upload::begin() {
  went_on_ = read_notes();
  if (!went_on_) {
    SLUICE_CHECK(drop_upload(store_, plan_.notes));
    SLUICE_TRY(id_, with_retries(stop_, [&] { return store_.begin_parts(plan_.key); }));
  }
  notes_ = Fd(::open(plan_.notes.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!went_on_) write_note(first_line(plan_.key, id_, size_, part_));
  return {};
}

Result<void> Upload::send_part(int number) {
  const auto offset = part_ * static_cast<std::uint64_t>(number - 1);
  SLUICE_TRY(const auto payload, payload_of(offset, std::min(part_, size_ - offset)));
  const auto md5 = to_hex(payload.md5);
  {
    const std::lock_guard lock(mutex_);
    const auto known = done_.find(number);
    if (known != done_.end() && known->second.md5 == md5) {
      sent_ += payload.length;
      return {};
    }
  }
  SLUICE_TRY(const auto stored, with_retries(ending_, [&]() -> Result<Stored> {
               SLUICE_TRY(auto out, store_.put_part(plan_.key, id_, number, payload, ending_));
               SLUICE_CHECK(check_etag(out, md5));
               return out;
             }));
  const auto etag = stored.etag.empty() ? '"' + md5 + '"' : stored.etag;
  sent_ += payload.length;
  const std::lock_guard lock(mutex_);
  done_[number] = {md5, etag};
  write_note(std::to_string(number) + ' ' + md5 + ' ' + etag + '\n');
  return {};
}

void Upload::work() {
  pthread_setname_np(pthread_self(), "upload");
  while (!ending_ && !stop_) {
    const int number = next_++;
    if (number > count_) return;
    auto sent = send_part(number);
    if (sent) continue;
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(sent).error();
    ending_ = true;
  }
}

// The MD5 of the parts' MD5s, which is what S3 makes an ETag of.
std::string Upload::digest_of_parts() const {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Digest whole(Digest::Kind::kMd5);
  for (const auto& [number, part] : done_) {
    std::string bytes;
    for (std::size_t at = 0; at + 1 < part.md5.size(); at += 2) {
      bytes += static_cast<char>(digit(part.md5[at]) * 16 + digit(part.md5[at + 1]));
    }
    whole.update(std::as_bytes(std::span(bytes)));
  }
  return to_hex(whole.finish()) + "-" + std::to_string(done_.size());
}

// The store does not know the upload any more. Where an answer was lost that is because it has
// become the object.
Result<Stored> Upload::seek_finished(Error error) {
  SLUICE_TRY(const auto found, with_retries(stop_, [&] { return store_.look(plan_.key); }));
  if (found && found->etag == '"' + digest_of_parts() + '"') return Stored{found->etag, true};
  return Failure(std::move(error));
}

Result<Stored> Upload::finish() {
  std::vector<UploadedPart> parts;
  for (const auto& [number, part] : done_) parts.push_back({number, part.etag});
  auto stored = with_retries(stop_, [&] { return store_.end_parts(plan_.key, id_, parts); });
  if (!stored && stored.error().code == Code::kNotFound) {
    return seek_finished(std::move(stored).error());
  }
  if (stored && stored->etag_is_digest && parts_of_etag(stored->etag) > 0 &&
      stored->etag != '"' + digest_of_parts() + '"') {
    return unavailable("damaged", "the store has put other parts together than were sent");
  }
  return stored;
}

void Upload::give_up() {
  const std::atomic<bool> never = false;
  const auto dropped = with_retries(never, [&] { return store_.drop_parts(plan_.key, id_); });
  // Else the note stays, for the next run to give it up.
  if (dropped) ::unlink(plan_.notes.c_str());
}

Result<Stored> Upload::in_parts() {
  SLUICE_CHECK(begin());
  std::vector<std::jthread> threads;
  for (int i = 0; i < std::min(plan_.connections, count_); ++i) {
    threads.emplace_back([this] { work(); });
  }
  // Its own flag ends the parts' requests: one that fails is reason to end the others.
  std::jthread watcher([this](const std::stop_token& ended) {
    while (!ended.stop_requested() && !ending_) {
      if (stop_) ending_ = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  });
  threads.clear();
  watcher = {};
  const bool all = static_cast<int>(done_.size()) == count_;
  auto stored = error_ ? Result<Stored>(Failure(*error_))
                : all  ? finish()
                       : fail(Code::kCancelled, "stopped", "it was broken off");
  if (stored) {
    ::unlink(plan_.notes.c_str());
    return stored;
  }
  if (went_on_ && stored.error().code == Code::kNotFound) {
    // The store has given up by itself what an earlier process began.
    ::unlink(plan_.notes.c_str());
    done_.clear();
    error_.reset();
    next_ = 1;
    ending_ = false;
    return in_parts();
  }
  give_up();
  return stored;
}

Result<void> drop_upload(WritableStore& store, const std::filesystem::path& notes) {
  const auto text = read_text(notes, kMaxNotes, "the note of an upload");
  const auto note = text ? parse_note(*text) : std::nullopt;
  const std::atomic<bool> never = false;
  if (note) {
    SLUICE_CHECK(with_retries(never, [&] { return store.drop_parts(note->key, note->id); }));
  }
  ::unlink(notes.c_str());
  return {};
}

}  // namespace sluice::sources
