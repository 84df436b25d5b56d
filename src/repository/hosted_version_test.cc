#include "repository/hosted_version.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <thread>
#include <vector>

// Each test runs in a fresh process, as those of probe_test.cc and for the same reasons.
namespace sluice::repository {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using State = HostStatus::State;

constexpr int kFine = 17;
constexpr auto kLong = 60s;
constexpr auto kShortestPause = 100ms;  // before a process is started again

// Seen by all processes that are forked from now on: how many runs have begun to hang.
std::atomic<int>* shared_counter() {
  void* memory = ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return new (memory) std::atomic<int>(0);
}
std::atomic<int>* const g_hanging = shared_counter();

// x[N,2] → y[N,2]. What the first number says is what happens.
class FakeModel final : public Model {
 public:
  FakeModel() {
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, 2}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto x = inputs[0].as<float>();
    if (x[0] == -1) std::raise(SIGSEGV);
    if (x[0] == -2) std::abort();
    if (x[0] == -3) {
      ++*g_hanging;
      std::this_thread::sleep_for(1h);
    }
    if (x[0] == -4) return internal("it does not like that");
    if (x[0] == -5) std::raise(SIGKILL);
    if (x[0] == -6) throw std::runtime_error("out of an engine");
    auto y = arena.array<float>(x.size());
    std::ranges::transform(x, y.begin(), [](float each) { return 2 * each; });
    if (x[0] == -7) y[0] = static_cast<float>(::getpid());
    if (x[0] == -8)
      y[0] = sched_getscheduler(0) == SCHED_IDLE || ::getpriority(PRIO_PROCESS, 0) == 19;
    outputs[0] = inputs[0];
    outputs[0].data = std::as_bytes(y);
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  Signature signature_;
};

class FakeEngine final : public Engine {
 public:
  bool accepts(const ModelFile&) const override { return true; }
  std::vector<std::string_view> extensions() const override { return {".fake"}; }
  Result<std::unique_ptr<Model>> load(const ModelFile& file, const LoadOptions&) const override {
    const std::string what(file.contents.text());
    if (what == "crashes") std::raise(SIGBUS);
    if (what == "is refused") return invalid("bad_model", "line 7 is wrong");
    return std::make_unique<FakeModel>();
  }
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

// Of the fresh process: a keeper, and a file that hosts load.
class Hosts {
 public:
  Hosts()
      : probe_(*Probe::start(
            [](Registry<Engine>& all) { all.add("fake", std::make_shared<FakeEngine>()); })) {
    fs::create_directories(root_);
  }
  ~Hosts() { fs::remove_all(root_); }

  void write(const std::string& what) { std::ofstream(root_ / "model") << what; }
  ModelFile file() const {
    ModelFile out;
    out.name = "model";
    out.directory = std::make_shared<const Fd>(*open_directory(root_));
    out.contents = *FileBytes::copy(*open_beneath(*out.directory, "model"), "the model file");
    return out;
  }
  std::shared_ptr<const HostedModel> host(HostOptions options = {}) {
    HostedFile hosted{[this]() -> Result<ModelFile> { return file(); },
                      FileIdentity::of(file()),
                      {"fake", {}, 1, nullptr}};
    return make_version_host(*probe_, std::move(hosted))->host(FakeModel().signature(), options);
  }

  // Two numbers twice as large, or the reason and message.
  static std::string ask(const HostedModel& model, float first) {
    Arena arena;
    const float values[] = {first, 3};
    TensorView x;
    x.shape = {1, 2};
    x.data = std::as_bytes(std::span(values));
    TensorView y;
    if (auto ready = model.ready(); !ready) return words(ready.error());
    run_began_ = Clock::now();
    if (auto ran = model.run({&x, 1}, {&y, 1}, arena); !ran) return words(ran.error());
    return show_number(y.as<float>()[0]) + " " + show_number(y.as<float>()[1]);
  }
  // Right after a run that ended its process. Whoever asks when the shortest pause may have passed
  // already, on a busy machine, may find it up again.
  void check_not_at_once(const HostedModel& model) {
    const auto ended_after = run_began_;
    const auto got = ask(model, 1);
    if (Clock::now() - ended_after < kShortestPause) {
      check(got.starts_with("host_down"), "not at once: " + got);
    }
  }
  // Once it may be started again.
  std::string ask_when_up(const HostedModel& model, float first) {
    std::string got;
    for (int i = 0; i < 12'000; ++i) {
      got = ask(model, first);
      if (!got.starts_with("host_down") || model.status().state == State::kGivenUp) break;
      std::this_thread::sleep_for(5ms);
    }
    return got;
  }
  static std::string words(const Error& error) {
    return std::string(error.reason) + ": " + error.message;
  }
  static std::string show_number(float number) { return std::to_string(std::lround(number)); }

  void equal(const std::string& got, const std::string& want, const std::string& what) {
    check(got == want, what + ": '" + got + "', not '" + want + "'");
  }
  void check(bool fine, const std::string& what) {
    if (!fine) faults_.push_back(what);
  }
  int end() {
    for (const auto& fault : faults_) std::cerr << fault << "\n";
    return faults_.empty() ? kFine : 1;
  }

 private:
  const std::unique_ptr<Probe> probe_;
  const fs::path root_ = fs::path(testing::TempDir()) / ("hosts_" + std::to_string(::getpid()));
  std::vector<std::string> faults_;
  inline static thread_local Clock::time_point run_began_;  // of the last one
};

class HostedVersionDeathTest : public testing::Test {
 protected:
  HostedVersionDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

// Runs `test` on hosts of its own and ends the process. Nobody catches what an engine throws.
template <class Test>
[[noreturn]] void with_hosts(Test test) noexcept {
  int result = 1;
  {
    Hosts hosts;
    hosts.write("good");
    test(hosts);
    result = hosts.end();
  }
  std::exit(result);
}

#define EXPECT_FINE(test) EXPECT_EXIT(with_hosts(test), testing::ExitedWithCode(kFine), "")

void whatever_it_does(Hosts& hosts) {
  const auto host = hosts.host();
  hosts.check(host->status().state == State::kWaiting, "nothing is started before it is wanted");
  hosts.equal(hosts.ask(*host, 1), "2 6", "a run");
  hosts.check(host->status().state == State::kRunning, "it runs");
  hosts.equal(hosts.ask(*host, -4), "engine_failed: it does not like that", "an error");
  hosts.equal(hosts.ask(*host, 2), "4 6", "after an error");
  hosts.equal(hosts.ask(*host, -8), "1 6", "it is idle");
  hosts.check(hosts.ask(*host, -7) != std::to_string(::getpid()) + " 6", "in this process");
  hosts.check(host->take_time() > 0ns, "time is measured");
  hosts.check(host->take_time() == 0ns, "and taken");
  const std::pair<float, std::string> ends[] = {{-1, "the engine crashed (SEGV)"},
                                                {-2, "the engine crashed (ABRT)"},
                                                {-5, "it was killed, perhaps for want of memory"},
                                                {-6, "the engine crashed (ABRT)"}};
  std::uint64_t ended = 0;
  for (const auto& [what, how] : ends) {
    hosts.equal(hosts.ask_when_up(*host, what), "host_ended: its process ended: " + how, "an end");
    hosts.check(host->status().ended == ++ended, "it is counted");
    hosts.equal(host->status().last_end, how, "and told");
    hosts.check(host->status().state == State::kWaiting, "it waits");
    hosts.check_not_at_once(*host);
    hosts.equal(hosts.ask_when_up(*host, 1), "2 6", "it is started again");
  }
}
TEST_F(HostedVersionDeathTest, WhateverItsEngineDoesIsAnswered) { EXPECT_FINE(whatever_it_does); }

void hangs(Hosts& hosts) {
  // The limit is by the clock, and a host has the processor only when nobody else wants it: what
  // is to be answered has a long limit, and what has a short one is never to be answered.
  const auto patient = hosts.host();
  hosts.equal(hosts.ask(*patient, 1), "2 6", "a run");
  const auto host = hosts.host({.run_limit = Millis(1500), .faults = {}});
  const std::string ended = "host_ended: its process ended: it did not answer within 1 s";
  hosts.equal(hosts.ask(*host, -3), ended, "a run that hangs");
  hosts.equal(hosts.ask_when_up(*host, -3), ended, "it is started again");
  hosts.check(host->status().ended == 2, "both are counted");
  hosts.equal(hosts.ask(*patient, 1), "2 6", "another host of the same file");
}
TEST_F(HostedVersionDeathTest, OneThatHangsIsEnded) { EXPECT_FINE(hangs); }

void stopped(Hosts& hosts) {
  const auto host = hosts.host({.run_limit = Millis(3'600'000), .faults = {}});
  std::string broken_off;
  {
    std::jthread thread([&] { broken_off = hosts.ask(*host, -3); });
    const auto until = Clock::now() + kLong;
    while (*g_hanging == 0 && Clock::now() < until) std::this_thread::sleep_for(1ms);
    hosts.check(*g_hanging == 1, "it hangs");
    host->stop();
  }
  hosts.check(broken_off.starts_with("host_ended"), "what runs ends: " + broken_off);
  hosts.check(host->status().state == State::kStopped, "it is stopped");
  hosts.check(host->status().ended == 0, "which is no end of its own");
  hosts.check(hosts.ask(*host, 1).starts_with("host_down"), "it stays so");
}
TEST_F(HostedVersionDeathTest, WhatIsStoppedHangsNoMore) { EXPECT_FINE(stopped); }

void given_up(Hosts& hosts) {
  const auto host = hosts.host();
  for (int i = 0; i < 4; ++i) {
    hosts.check(hosts.ask_when_up(*host, -1).starts_with("host_ended"), "it ends");
  }
  hosts.equal(hosts.ask_when_up(*host, 1), "2 6", "the fifth time it does not");
  for (int i = 0; i < 5; ++i) {
    hosts.check(host->status().state != State::kGivenUp, "too early");
    hosts.check(hosts.ask_when_up(*host, -1).starts_with("host_ended"), "it ends again");
  }
  hosts.check(host->status().state == State::kGivenUp, "five in a row");
  hosts.check(host->status().ended == 9, "all are counted");
  hosts.equal(hosts.ask(*host, 1), "host_down: it has been given up", "nothing is started");
  hosts.equal(hosts.ask(*hosts.host(), 1), "2 6", "another host of the same file");
}
TEST_F(HostedVersionDeathTest, FiveEndsInARowAreTheLast) { EXPECT_FINE(given_up); }

void files(Hosts& hosts) {
  hosts.write("is refused");
  hosts.equal(hosts.ask(*hosts.host(), 1), "engine_failed: line 7 is wrong", "a refusal");
  hosts.write("crashes");
  hosts.equal(hosts.ask(*hosts.host(), 1), "host_ended: the engine crashed (BUS)", "a crash");
  hosts.write("good");
  const auto host = hosts.host();
  hosts.write("other");
  hosts.equal(hosts.ask(*host, 1), "changing: its file is another one than the server has loaded",
              "another file");
  hosts.write("good");
  hosts.equal(hosts.ask_when_up(*host, 1), "2 6", "it is there again");
  HostOptions options;
  options.faults.crash = 1;
  hosts.equal(hosts.ask(*hosts.host(options), 1),
              "host_ended: its process ended: the engine crashed (SEGV)", "a crash on purpose");
}
TEST_F(HostedVersionDeathTest, ItsFileIsTheOneThatWasLoaded) { EXPECT_FINE(files); }

// What is killed from outside is noticed, and leaves nothing behind.
void fifty_times(Hosts& hosts) {
  const auto host = hosts.host();
  hosts.equal(hosts.ask(*host, 1), "2 6", "a run");
  const auto before = open_descriptors();
  for (std::uint64_t i = 1; i <= 50; ++i) {
    const auto process = std::atoi(hosts.ask_when_up(*host, -7).c_str());
    hosts.check(process > 1, "the process is known");
    if (process <= 1) return;
    // A float holds each number up to 2^24; those of processes are below 2^22.
    hosts.check(::kill(process, SIGKILL) == 0, "it is there");
    const auto until = Clock::now() + kLong;
    while (::kill(process, 0) == 0 && Clock::now() < until) std::this_thread::sleep_for(1ms);
    hosts.check(::kill(process, 0) != 0, "it is gone, and nobody's to bury");
    hosts.equal(hosts.ask_when_up(*host, 1), "2 6", "it is started again");
    hosts.check(host->status().ended == i, "it is counted");
  }
  const auto until = Clock::now() + kLong;  // whoever closes one may have lost its processor
  while (open_descriptors() != before && Clock::now() < until) std::this_thread::sleep_for(1ms);
  hosts.equal(std::to_string(open_descriptors()), std::to_string(before), "open descriptors");
}
TEST_F(HostedVersionDeathTest, FiftyEndsLeaveNothingBehind) { EXPECT_FINE(fifty_times); }

void large(Hosts& hosts) {
  const auto host = hosts.host();
  hosts.check(host->ready().has_value(), "it is ready");
  std::vector<float> values(500'000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  const auto ask = [&](std::int64_t rows) {
    Arena arena;
    TensorView x;
    x.shape = {rows, 2};
    x.data = std::as_bytes(std::span(values).first(2 * static_cast<std::size_t>(rows)));
    TensorView y;
    if (!host->run({&x, 1}, {&y, 1}, arena)) return false;
    bool good = y.shape == x.shape;
    const auto answered = y.as<float>();
    for (std::size_t i = 0; good && i < answered.size(); ++i) good = answered[i] == 2 * values[i];
    return good;
  };
  for (const std::int64_t rows : {1, 7, 1000, 250'000}) {
    hosts.check(ask(rows), std::to_string(rows) + " rows");
  }
  values.resize(20'000'000, 1);
  hosts.check(!ask(10'000'000), "80 MB are too much");
  hosts.check(ask(3), "and do no harm");
}
TEST_F(HostedVersionDeathTest, LargeTensorsComeThrough) { EXPECT_FINE(large); }

}  // namespace
}  // namespace sluice::repository
