#include "repository/hosted_version.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/hash.h"
#include "base/log.h"
#include "repository/host_process.h"

namespace sluice::repository {
namespace {

using Clock = std::chrono::steady_clock;
using State = HostStatus::State;

constexpr int kMostInRow = 5;
constexpr Millis kLeastPause{100};
constexpr Millis kMostPause{30'000};

Failure down(const char* why) { return unavailable("host_down", why); }

class HostedVersion final : public HostedModel {
 public:
  HostedVersion(const Probe& probe, std::shared_ptr<const HostedFile> file, Signature signature,
                const HostOptions& options)
      : probe_(probe), file_(std::move(file)), signature_(std::move(signature)), options_(options) {
    status_.state = State::kWaiting;
  }
  ~HostedVersion() override { stop(); }

  const Signature& signature() const override { return signature_; }
  std::string_view platform() const override { return "process"; }
  std::vector<Fact> facts() const override { return {{"engine", file_->trial.engine}}; }
  std::uint64_t parameters() const override { return 0; }

  Result<void> ready() const override {
    if (auto may = may_start(); !may || process() != nullptr) return may;
    auto started = start();
    const std::lock_guard lock(mutex_);
    if (status_.state == State::kStopped) return down("it is stopped");
    if (!started) {
      note_end(started.error().message);
      return Failure(std::move(started).error());
    }
    starting_took_ = std::chrono::ceil<Millis>(*started);
    status_.state = State::kRunning;
    return {};
  }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto running = process();
    if (running == nullptr) return down("its process does not run");
    std::chrono::nanoseconds took{};
    auto ran = running->run(inputs, outputs, arena, options_.run_limit, took);
    const std::lock_guard lock(mutex_);
    took_ += took;
    if (ran || ran.error().reason != kHostEnded) {
      in_row_ = 0;
    } else if (process_ == running) {
      note_end(ran.error().message);
      return fail(Code::kInternal, kHostEnded, "its process ended: " + ran.error().message);
    }
    return ran;
  }

  std::chrono::nanoseconds take_time() const override {
    const std::lock_guard lock(mutex_);
    return std::exchange(took_, {});
  }

  void stop() const override {
    const std::lock_guard lock(mutex_);
    status_.state = State::kStopped;
    if (const auto ended = std::exchange(process_, nullptr)) ended->kill();
  }

  HostStatus status() const override {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  std::shared_ptr<HostProcess> process() const {
    const std::lock_guard lock(mutex_);
    return process_;
  }

  // Nothing: there is a process, or one is to be started now.
  Result<void> may_start() const {
    const std::lock_guard lock(mutex_);
    if (process_ != nullptr && process_->gone()) {
      note_end("it was killed, perhaps for want of memory");
      // Of all other ends whoever asked is told.
      if (!std::exchange(told_, true)) {
        log::warn(name() + ", as a shadow: its process was killed, perhaps for want of memory, " +
                  "which no user sees; further times are only counted");
      }
    }
    if (status_.state == State::kStopped) return down("it is stopped");
    if (status_.state == State::kGivenUp) return down("it has been given up");
    if (process_ == nullptr && Clock::now() < due_) return down("it is started again later");
    if (process_ == nullptr) status_.state = State::kStarting;
    return {};
  }

  // Answers how much of a processor that took.
  Result<std::chrono::nanoseconds> start() const {
    SLUICE_TRY(const auto file, file_->open());
    if (FileIdentity::of(file) != file_->loaded) {
      return unavailable("changing", "its file is another one than the server has loaded");
    }
    SLUICE_TRY(auto started, HostProcess::start(probe_, file, file_->trial, options_.faults));
    {
      const std::lock_guard lock(mutex_);
      if (status_.state == State::kStopped) return down("it is stopped");
      process_ = started;
    }
    return started->wait_loaded();
  }

  // With the lock.
  void note_end(const std::string& how) const {
    process_ = nullptr;
    ++status_.ended;
    status_.last_end = how;
    if (++in_row_ >= kMostInRow) {
      status_.state = State::kGivenUp;
      log::warn(name() + ", as a shadow: its process has ended " + std::to_string(in_row_) +
                " times in a row and is not started again until the version is loaded or made a "
                "shadow anew; the last time: " +
                how);
      return;
    }
    status_.state = State::kWaiting;
    const auto first = std::max(kLeastPause, 9 * starting_took_);
    due_ = Clock::now() + std::min(first * (1 << (in_row_ - 1)), std::max(first, kMostPause));
  }

  const std::string& name() const { return file_->trial.options.name; }

  const Probe& probe_;
  const std::shared_ptr<const HostedFile> file_;
  const Signature signature_;
  const HostOptions options_;
  mutable std::mutex mutex_;
  // All guarded by mutex_.
  mutable HostStatus status_;
  mutable std::shared_ptr<HostProcess> process_;
  mutable int in_row_ = 0;
  mutable Clock::time_point due_{};
  mutable Millis starting_took_{0};
  mutable std::chrono::nanoseconds took_{0};
  mutable bool told_ = false;
};

class VersionHost final : public ModelHost {
 public:
  VersionHost(const Probe& probe, HostedFile file)
      : probe_(probe), file_(std::make_shared<const HostedFile>(std::move(file))) {}

  std::shared_ptr<const HostedModel> host(const Signature& signature,
                                          const HostOptions& options) const override {
    return std::make_shared<HostedVersion>(probe_, file_, signature, options);
  }

 private:
  const Probe& probe_;
  const std::shared_ptr<const HostedFile> file_;
};

}  // namespace

FileIdentity FileIdentity::of(const ModelFile& file) {
  FileIdentity out;
  out.size = file.contents.bytes().size();
  if (file.contents.sealed()) out.hash = hash64(file.contents.text());
  return out;
}

std::shared_ptr<const ModelHost> make_version_host(const Probe& probe, HostedFile file) {
  return std::make_shared<VersionHost>(probe, std::move(file));
}

}  // namespace sluice::repository
