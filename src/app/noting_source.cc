#include "app/noting_source.h"

#include <utility>

namespace sluice::app {

std::uint64_t NotingSource::bytes_of(std::string_view version) const {
  return note_of(version).bytes;
}

bool NotingSource::was_unavailable(std::string_view version) const {
  return note_of(version).unavailable;
}

Result<ModelFile> NotingSource::open(const WantedVersion& version) {
  auto out = source_->open(version);
  out ? note(version, *out) : note(version, out.error());
  return out;
}

Result<std::optional<ModelFile>> NotingSource::open_near(const WantedVersion& version) {
  auto out = source_->open_near(version);
  if (!out) {
    note(version, out.error());
  } else if (*out) {
    note(version, **out);
  }
  return out;
}

Result<ModelFile> NotingSource::open_far(const WantedVersion& version,
                                         const std::atomic<bool>& abandoned) {
  auto out = source_->open_far(version, abandoned);
  out ? note(version, *out) : note(version, out.error());
  return out;
}

void NotingSource::note(const WantedVersion& version, const ModelFile& file) {
  put(version, {file.contents.bytes().size(), false});
}

void NotingSource::note(const WantedVersion& version, const Error& error) {
  put(version, {0, error.code == Code::kUnavailable});
}

void NotingSource::put(const WantedVersion& version, Note note) {
  const std::lock_guard lock(mutex_);
  notes_[version.name.str()] = note;
}

NotingSource::Note NotingSource::note_of(std::string_view version) const {
  const std::lock_guard lock(mutex_);
  const auto found = notes_.find(version);
  return found == notes_.end() ? Note{} : found->second;
}

}  // namespace sluice::app
