#include "engines/onnx_in_place.h"

#include <pthread.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/log.h"
#include "base/memory_left.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

// Copied at a time: so much memory is there twice, and so long may a model's end have to wait.
constexpr std::size_t kChunk = std::size_t{16} << 20;

}  // namespace

std::shared_ptr<const void> OnnxFilesInUse::take(const Fd& file) {
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return nullptr;
  const Key key{info.st_dev, info.st_ino};
  const std::lock_guard lock(all_->mutex);
  if (!all_->keys.insert(key).second) return nullptr;
  const auto give_back = [all = all_, key](const void*) {
    const std::lock_guard lock(all->mutex);
    all->keys.erase(key);
  };
  return {static_cast<const void*>(all_.get()), give_back};
}

std::shared_ptr<WeightsInPlace> WeightsInPlace::of(const FileBytes& file, OnnxFilesInUse& in_use) {
  if (file.descriptor() == nullptr || file.sealed()) return nullptr;
  // The copy is made when no trial protects this process any more: only where it surely fits.
  if (memory_left() / 2 < file.bytes().size()) return nullptr;
  auto lease = in_use.take(*file.descriptor());
  if (!lease) return nullptr;
  return std::shared_ptr<WeightsInPlace>(new WeightsInPlace(file, std::move(lease)));
}

WeightsInPlace::WeightsInPlace(FileBytes file, std::shared_ptr<const void> in_use)
    : file_(std::move(file)),
      in_use_(std::move(in_use)),
      location_("proc/self/fd/" + std::to_string(file_.descriptor()->get())) {}

void WeightsInPlace::loaded(bool copy) {
  pages_ = private_mappings(file_.bytes().data());
  file_ = {};  // what is mapped needs neither the descriptor nor the name any more
  for (const auto& pages : pages_) bytes_ += pages.size();
  if (copy) copier_ = std::jthread([this](const std::stop_token& stop) { copy_all(stop); });
}

void WeightsInPlace::copy_all(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "weights");
  for (const auto& pages : pages_) {
    for (std::size_t at = 0; at < pages.size(); at += kChunk) {
      if (stop.stop_requested()) return;
      if (!make_private(pages.subspan(at, std::min(kChunk, pages.size() - at)))) {
        log::warn(
            "there is no memory for the copy of a model's weights: they are used in the "
            "cache's file, and must not be changed there");
        return;
      }
    }
  }
  copied_ = true;
  log::debug("a model's weights, " + human_bytes(bytes_) + " of its file, are copied");
}

void WeightsInPlace::close() {
  copier_.request_stop();
  wait();
}

bool WeightsInPlace::wait() {
  if (copier_.joinable()) copier_.join();
  return copied_;
}

}  // namespace sluice::engines
