// A source that remembers what became of the files that it was asked for, by version: for a command
// that works with one model, and says how large its file is or why it could not be had.
//
// Thread-safety: that of Source; the two questions by any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "core/source.h"

namespace sluice::app {

class NotingSource final : public Source {
 public:
  explicit NotingSource(std::unique_ptr<Source> source) : source_(std::move(source)) {}

  // 0 where it was not opened.
  std::uint64_t bytes_of(std::string_view version) const;
  // Its store did not give it the last time; another try may go better.
  bool was_unavailable(std::string_view version) const;

  Result<std::vector<WantedModel>> list() override { return source_->list(); }
  Result<ModelFile> open(const WantedVersion& version) override;
  Result<std::optional<ModelFile>> open_near(const WantedVersion& version) override;
  Result<ModelFile> open_far(const WantedVersion& version,
                             const std::atomic<bool>& abandoned) override;
  void watch(const std::function<void()>& changed) override { source_->watch(changed); }

 private:
  struct Note {
    std::uint64_t bytes = 0;
    bool unavailable = false;
  };
  void note(const WantedVersion& version, const ModelFile& file);
  void note(const WantedVersion& version, const Error& error);
  void put(const WantedVersion& version, Note note);
  Note note_of(std::string_view version) const;

  const std::unique_ptr<Source> source_;
  mutable std::mutex mutex_;
  std::map<std::string, Note, std::less<>> notes_;  // guarded by mutex_
};

}  // namespace sluice::app
