// Weights of a large ONNX model that ONNX Runtime uses where they lie in the file, so that loading
// it copies nothing (docs/decisions/0039-weights-in-place.md).
//
// For a moment only: a mapped file that someone cuts off would end the process, so that a copy
// takes the mapping's place as soon as the model is loaded, at the same addresses, while it already
// answers. Where memory for that copy is short, or the file has no name that ONNX Runtime could
// open it by, weights are not used in place.
//
// Thread-safety: OnnxFilesInUse from any thread; WeightsInPlace is its model's.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/mapping.h"

namespace sluice::engines {

// Files whose weights some model uses in place: each one's by one model at a time, so that a
// private mapping of the file is known to be that model's.
class OnnxFilesInUse {
 public:
  // Null while another model uses the file. Whoever keeps it uses the file.
  std::shared_ptr<const void> take(const Fd& file);

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;  // device and inode
  struct All {
    std::mutex mutex;
    std::set<Key> keys;  // guarded by mutex
  };
  const std::shared_ptr<All> all_ = std::make_shared<All>();  // models may outlive the engine
};

// Of one model; outlives its sessions.
class WeightsInPlace {
 public:
  // Null where they cannot be used in place.
  static std::shared_ptr<WeightsInPlace> of(const FileBytes& file, OnnxFilesInUse& in_use);
  // `close` has been called, or it was never given pages.
  ~WeightsInPlace() { close(); }

  // The name by which ONNX Runtime opens the file, relative to "/".
  const std::string& location() const { return location_; }

  // The model is loaded: finds what it uses of the file. `copy`: starts to replace it by copies.
  void loaded(bool copy);
  // Bytes that were used in place when the model was loaded, whole pages.
  std::uint64_t bytes() const { return bytes_; }
  // Nobody touches the pages any more when it returns: before the sessions end.
  void close();
  // Waits until all is copied. Answers whether it was.
  bool wait();

 private:
  WeightsInPlace(FileBytes file, std::shared_ptr<const void> in_use);
  void copy_all(const std::stop_token& stop);

  FileBytes file_;
  const std::shared_ptr<const void> in_use_;
  const std::string location_;
  std::vector<Pages> pages_;
  std::uint64_t bytes_ = 0;
  std::atomic<bool> copied_{false};
  std::jthread copier_;
};

}  // namespace sluice::engines
