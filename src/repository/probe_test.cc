#include "repository/probe.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <thread>
#include <vector>

// Whoever starts a Probe may have one thread only, which this process has not: each test runs in a
// fresh one, as death tests of the style "threadsafe" do. It ends with kFine, or says what was not.
// Its functions are noexcept like the server's `main`, where nobody catches what an engine throws:
// GoogleTest would, in the trial's process too.
namespace sluice::repository {
namespace {

namespace fs = std::filesystem;

constexpr int kFine = 17;
constexpr std::size_t kMuch = std::size_t{64} << 20;
// Sanitizers take memory of their own for memory that is used.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kMost = 16 * kMuch;
#else
constexpr std::size_t kMost = 2 * kMuch;
#endif

class FakeModel final : public Model {
 public:
  explicit FakeModel(std::string what) : what_(std::move(what)) {
    signature_.inputs.push_back({"x", DType::kFloat32, {-1, 2}, Role::kUnknown});
    signature_.outputs.push_back({"y", DType::kFloat32, {-1, 2}, Role::kUnknown});
  }
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView>, std::span<TensorView>, Arena&) const override {
    if (what_ == "crashes when run") std::abort();
    if (what_ == "refuses zeros") return internal("zeros");
    return {};
  }
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  std::string what_;
  Signature signature_;
};

// What a file says is what happens.
class FakeEngine final : public Engine {
 public:
  bool accepts(const ModelFile&) const override { return true; }
  std::vector<std::string_view> extensions() const override { return {".fake"}; }
  Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                      const LoadOptions& options) const override {
    const std::string what(file.contents.text());
    if (what == "crashes") std::raise(SIGSEGV);
    if (what == "throws") throw std::runtime_error("out of an engine");
    if (what == "ends") std::_Exit(0);
    if (what == "is killed") std::raise(SIGKILL);
    if (what == "is refused") return invalid("bad_model", "line 7 is wrong");
    if (what == "says much") return invalid("bad_model", std::string(100'000, 'm'));
    if (what == "takes for ever") std::this_thread::sleep_for(std::chrono::hours(1));
    if (what == "takes memory") {
      void* memory =
          ::mmap(nullptr, kMuch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      std::fill_n(static_cast<char*>(memory), kMuch, 'x');
    }
    if (what == "looks around") {
      const auto beside = open_beneath(*file.directory, "beside");
      const auto text = beside ? *read_text(*beside, 100, "it") : "nothing";
      return invalid("bad_model", file.name + " " + text + " " + std::to_string(options.threads) +
                                      " " + std::to_string(options.parallel));
    }
    return std::make_unique<FakeModel>(what);
  }
};

void fakes(Registry<Engine>& engines) { engines.add("fake", std::make_shared<FakeEngine>()); }

// Of the fresh process: a keeper, and files in a directory of its own.
class Trials {
 public:
  Trials() : probe_(*Probe::start(fakes)) {
    fs::create_directories(root_);
    std::ofstream(root_ / "beside") << "hello";
    directory_ = std::make_shared<const Fd>(*open_directory(root_));
  }
  ~Trials() { fs::remove_all(root_); }

  // "fine", or the reason and the message.
  std::string of(const std::string& what, const std::string& engine = "fake", int warmup = 2,
                 const std::atomic<bool>* abandoned = nullptr) {
    const auto file = file_of(what);
    LoadOptions options;
    options.threads = 3;
    options.parallel = 5;
    const auto tried = probe_->try_model(file, {engine, options, warmup, abandoned});
    return tried ? "fine" : std::string(tried.error().reason) + ": " + tried.error().message;
  }
  std::uint64_t memory_of(const std::string& what) {
    return probe_->try_model(file_of(what), {"fake", {}, 1, nullptr}).value_or(0);
  }
  void check(bool fine, const std::string& what) {
    if (!fine) faults_.push_back(what);
  }
  void expect(const std::string& what, const std::string& part) {
    const auto got = of(what);
    check(got.find(part) != std::string::npos, "a model that " + what + " was " + got);
  }
  int end() {
    for (const auto& fault : faults_) std::cerr << fault << "\n";
    return faults_.empty() ? kFine : 1;
  }
  // Ends the keeper: the child of this process with its name.
  bool kill_keeper() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "stat");
      std::string stat;
      std::getline(file, stat);
      const auto name = stat.find("(sluice-probe) ");
      if (name == std::string::npos) continue;
      const int parent = std::atoi(stat.c_str() + name + sizeof("(sluice-probe) S ") - 1);
      if (parent != ::getpid()) continue;
      const auto keeper = static_cast<id_t>(std::atoi(stat.c_str()));
      siginfo_t ended{};  // until it has; whom it belongs to still waits for it
      return ::kill(static_cast<pid_t>(keeper), SIGKILL) == 0 &&
             ::waitid(P_PID, keeper, &ended, WEXITED | WNOWAIT) == 0;
    }
    return false;
  }

 private:
  ModelFile file_of(const std::string& what) const {
    const std::string name = "model" + std::to_string(std::hash<std::string>()(what));
    { std::ofstream(root_ / name) << what; }
    ModelFile out;
    out.name = name;
    out.contents = *FileBytes::copy(*open_beneath(*directory_, name), "the model file");
    out.directory = directory_;
    return out;
  }

  const std::unique_ptr<Probe> probe_;
  const fs::path root_ = fs::path(testing::TempDir()) / ("probe_" + std::to_string(::getpid()));
  std::shared_ptr<const Fd> directory_;
  std::vector<std::string> faults_;
};

class ProbeDeathTest : public testing::Test {
 protected:
  ProbeDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

[[noreturn]] void in_order() noexcept {
  int result = 1;
  {
    Trials trials;
    trials.expect("is good", "fine");
    trials.expect("crashes",
                  "bad_model: the model did not survive being loaded in a trial process: "
                  "the engine crashed (SEGV)");
    trials.expect("is good", "fine");
    trials.expect("throws", "the model did not survive being loaded");
    trials.expect("crashes when run", "crashed (ABRT)");
    trials.expect("ends", "killed: ");
    trials.expect(
        "is killed",
        "killed: the model did not survive being loaded in a trial process: it was killed");
    trials.expect("is refused", "bad_model: line 7 is wrong");
    trials.expect("says much", std::string(1000, 'm'));
    trials.expect("refuses zeros", "fine");
    trials.expect("", "fine");
    trials.expect("looks around", " hello 3 5");
    trials.check(trials.of("crashes when run", "fake", 0) == "fine", "run without warming up");
    trials.check(trials.of("is good", "other").find("no such engine") != std::string::npos,
                 "an engine that is not there");
    result = trials.end();
  }
  std::exit(result);
}

TEST_F(ProbeDeathTest, WhateverAModelDoesIsAnswered) {
  EXPECT_EXIT(in_order(), testing::ExitedWithCode(kFine), "");
}

[[noreturn]] void memory() noexcept {
  int result = 1;
  {
    Trials trials;
    const auto little = trials.memory_of("is good");
    const auto much = trials.memory_of("takes memory");
    trials.check(little < kMuch / 4, "little is " + std::to_string(little));
    trials.check(much >= kMuch && much < kMost, "much is " + std::to_string(much));
    result = trials.end();
  }
  std::exit(result);
}

TEST_F(ProbeDeathTest, MeasuresTheMemoryThatAModelTakes) {
  EXPECT_EXIT(memory(), testing::ExitedWithCode(kFine), "");
}

[[noreturn]] void side_by_side() noexcept {
  int result = 1;
  {
    Trials trials;
    std::atomic<int> wrong = 0;
    {
      std::vector<std::jthread> threads;
      for (const std::string what : {"is good", "crashes", "is refused", "is killed"}) {
        threads.emplace_back([&, what] {
          const auto first = trials.of(what);
          for (int i = 0; i < 10; ++i) wrong += trials.of(what) == first ? 0 : 1;
          wrong += (first == "fine") == (what == "is good") ? 0 : 1;
        });
      }
    }
    trials.check(wrong == 0, std::to_string(wrong) + " got the answer of another");
    result = trials.end();
  }
  std::exit(result);
}

TEST_F(ProbeDeathTest, SeveralAtATime) {
  EXPECT_EXIT(side_by_side(), testing::ExitedWithCode(kFine), "");
}

[[noreturn]] void broken_off() noexcept {
  int result = 1;
  {
    Trials trials;
    std::atomic<bool> abandoned = false;
    std::string late;
    {
      std::jthread thread([&] { late = trials.of("takes for ever", "fake", 0, &abandoned); });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      trials.expect("is good", "fine");  // beside it
      abandoned = true;
    }
    trials.check(late.starts_with("abandoned: "), "what is broken off was " + late);
    trials.expect("is good", "fine");
    result = trials.end();
  }
  std::exit(result);
}

TEST_F(ProbeDeathTest, IsBrokenOffWhereNobodyWantsItAnyMore) {
  EXPECT_EXIT(broken_off(), testing::ExitedWithCode(kFine), "");
}

[[noreturn]] void without_keeper() noexcept {
  int result = 1;
  {
    Trials trials;
    trials.expect("is good", "fine");
    trials.check(trials.kill_keeper(), "the keeper was not found");
    trials.expect("is good", "no_trial: the process that tries models is gone");
    result = trials.end();
  }
  std::exit(result);
}

TEST_F(ProbeDeathTest, AKeeperThatIsGoneIsSaid) {
  EXPECT_EXIT(without_keeper(), testing::ExitedWithCode(kFine), "");
}

}  // namespace
}  // namespace sluice::repository
