// Workers that die, hang, fail and are started again, with pickles that bring their own class along
// as far as a pickle can. Needs a Python with scikit-learn.

#include "engines/worker_pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "engines/python_finder.h"

namespace sluice::engines {
namespace {

const Python& python() {
  static const Python kPython = *find_python("");
  return kPython;
}

// A pickle (protocol 0) that is the value of a Python expression.
std::string pickled(const std::string& expression) {
  return "cbuiltins\neval\n(V" + expression + "\ntR.";
}

// Of one feature; `predict` is an expression of X, with numpy as n, os and time.
std::string model(const std::string& predict, const std::string& first = "None") {
  return pickled("(lambda n, os, time: (" + first +
                 ", type('Made', (), {'n_features_in_': 1, 'predict': lambda self, X: " + predict +
                 "})())[1])(__import__('numpy'), __import__('os'), __import__('time'))");
}

FileBytes bytes_of(const std::string& text) {
  auto fd = std::make_shared<Fd>(::memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(::write(fd->get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return *FileBytes::of_copy(fd);
}

PoolOptions options_for(const std::string& pickle, int workers = 1) {
  PoolOptions out;
  out.worker.python = python().path;
  out.worker.model = bytes_of(pickle);
  out.worker.memory = std::uint64_t{1} << 30;
  out.name = "model test";
  out.workers = workers;
  out.load_limit = std::chrono::seconds(2);
  return out;
}

// What is predicted for `x`.
Result<double> ask(WorkerPool& pool, double x) {
  const TensorView input{DType::kFloat64, {1, 1}, std::as_bytes(std::span(&x, 1)), {}};
  double answer = 0;
  const std::span<std::byte> output = std::as_writable_bytes(std::span(&answer, 1));
  SLUICE_CHECK(pool.run({{&input, 1}, 1, {&output, 1}}));
  return answer;
}

std::string reason_of(const Result<double>& answer) {
  return answer ? std::to_string(*answer) : std::string(answer.error().reason);
}

TEST(WithoutPaths, KeepsWhatUsersWrote) {
  const auto of = [](std::string_view text) { return without_paths(text, 100); };
  EXPECT_EQ(of("no category 'Berlin/West' in column 0"), "no category 'Berlin/West' in column 0");
  EXPECT_EQ(of("dtype:\n- expected: 'a'\n- got: 'b'"), "dtype: - expected: 'a' - got: 'b'");
  EXPECT_EQ(of("on <module 'x' from '/usr/lib/x.py'> today"), "on <module 'x' from today");
  EXPECT_EQ(of("see file:///home/x or name='/tmp/x'> again"), "see or again");
  EXPECT_EQ(of("<function f at 0x7f3a1c0b2d30> and 0x12"), "<function f at and 0x12");
}

TEST(WorkerPool, DescribesAndAnswers) {
  const auto pool = WorkerPool::start(options_for(model("X[:, 0] * 2")));
  ASSERT_TRUE(pool) << pool.error().message;
  const auto said = nlohmann::json::parse((*pool)->description());
  EXPECT_EQ(said["width"], 1);
  EXPECT_EQ(said["outputs"][0]["role"], "value");
  EXPECT_GT((*pool)->memory(), std::uint64_t{10} << 20);
  for (double x = 0; x < 20; ++x) EXPECT_EQ(reason_of(ask(**pool, x)), std::to_string(2 * x));
}

// The worker falls asleep 50 µs after an answer, and whoever waits for one after 300 µs: the next
// question and the answer come just before, then and after.
TEST(WorkerPool, NothingIsLostWhileSomebodyFallsAsleep) {
  auto options = options_for(model("(time.sleep(X[0, 0] / 1e6), X[:, 0])[1]"));
  options.run_limit = Millis(20'000);  // after which who waits looks for himself
  const auto pool = WorkerPool::start(std::move(options));
  ASSERT_TRUE(pool) << pool.error().message;
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < 4000; ++i) {
    const double takes = i % 11 * 27;  // and 50 that the system's timers take
    const auto begin = Clock::now();
    ASSERT_EQ(reason_of(ask(**pool, takes)), std::to_string(takes)) << "run " << i;
    ASSERT_LT(Clock::now() - begin, std::chrono::seconds(15)) << "a ring was lost in run " << i;
    const auto until = Clock::now() + std::chrono::microseconds(i % 101);
    while (Clock::now() < until) continue;
  }
}

TEST(WorkerPool, WhatAModelWritesToOurSocketIsNoAnswer) {
  auto options = options_for(
      model("(X[0, 0] and (os.write(3, b'x' * 32), os.write(3, b'x'), time.sleep(0.001)), "
            "X[:, 0] if X[0, 0] < 1000 else "
            "[os.write(3, b'x') and time.sleep(0.01) for _ in iter(int, 1)])[1]"));
  options.run_limit = Millis(2000);
  const auto pool = WorkerPool::start(std::move(options));
  ASSERT_TRUE(pool) << pool.error().message;
  for (double x = 1; x < 50; ++x) EXPECT_EQ(reason_of(ask(**pool, x)), std::to_string(x));
  EXPECT_EQ(reason_of(ask(**pool, 1000)), "run_limit") << "each wakes who waits for the answer";
}

// The first memory is 1 MiB; runs that need more bring another, and more than 64 MiB is given up.
TEST(WorkerPool, RunsOfAllSizes) {
  const auto pool = WorkerPool::start(options_for(model("X[:, 0] + 1")));
  ASSERT_TRUE(pool) << pool.error().message;
  for (const std::size_t rows : {1UZ, 1UZ << 18, 3UZ, 1UZ << 23, 5UZ, 1UZ << 20, 1UZ}) {
    std::vector<double> in(rows, 7.0);
    std::vector<double> out(rows);
    in.back() = 8.0;
    const TensorView input{
        DType::kFloat64, {static_cast<std::int64_t>(rows), 1}, std::as_bytes(std::span(in)), {}};
    const std::span<std::byte> output = std::as_writable_bytes(std::span(out));
    const auto ran = (*pool)->run({{&input, 1}, rows, {&output, 1}});
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(out.front(), rows == 1 ? 9.0 : 8.0);
    EXPECT_EQ(out.back(), 9.0);
  }
}

TEST(WorkerPool, ARunThatEndsTwoWorkersIsToBlame) {
  const auto pool =
      WorkerPool::start(options_for(model("os._exit(1) if (X == 13).any() else X[:, 0]"), 2));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(reason_of(ask(**pool, 13)), "engine_failed");
  EXPECT_EQ(reason_of(ask(**pool, 4)), std::to_string(4.0));
}

TEST(WorkerPool, OneDeathIsMadeGoodByAnother) {
  // Its first run ends its process, in each process that does not find the mark.
  const auto mark =
      std::string(testing::TempDir()) + "sluice_pool_test_" + std::to_string(::getpid());
  const auto pool = WorkerPool::start(
      options_for(model("X[:, 0] if (X == 0).all() or os.path.exists('" + mark + "') or open('" +
                        mark + "', 'w') is None else os._exit(1)")));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(reason_of(ask(**pool, 7)), std::to_string(7.0));
  EXPECT_EQ(::access(mark.c_str(), F_OK), 0);
  ::unlink(mark.c_str());
}

TEST(WorkerPool, TooLongAndTooMuchAreToldApart) {
  auto options = options_for(model(
      "time.sleep(600) if (X == 1).any() else n.ones(99 << 30, 'u1')[:1] if (X == 2).any() else "
      "1 / 0 if (X == 3).any() else [][int(X[0, 0])] if (X == 4).any() else "
      "float('a') if (X == 5).any() else X[:, 0]"));
  options.run_limit = Millis(2000);  // which the others keep on a busy machine too
  const auto pool = WorkerPool::start(std::move(options));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(reason_of(ask(**pool, 1)), "run_limit");
  EXPECT_EQ(reason_of(ask(**pool, 2)), "engine_failed");
  EXPECT_EQ(reason_of(ask(**pool, 3)), "engine_failed");
  EXPECT_EQ(reason_of(ask(**pool, 4)), "engine_failed");
  EXPECT_EQ(reason_of(ask(**pool, 5)), "refused");
  EXPECT_EQ(reason_of(ask(**pool, 6)), std::to_string(6.0));
}

TEST(WorkerPool, WhatCannotBeLoadedIsTold) {
  const auto refusal = [](const std::string& pickle) {
    const auto pool = WorkerPool::start(options_for(pickle));
    return pool ? "" : pool.error().message;
  };
  EXPECT_NE(refusal("nothing").find("damaged, or is no pickle"), std::string::npos);
  const auto whole = model("X");
  EXPECT_NE(refusal(whole.substr(0, whole.size() / 2)).find("damaged"), std::string::npos);
  EXPECT_NE(refusal(pickled("1")).find("no predict"), std::string::npos);
  EXPECT_NE(refusal(model("X", "os._exit(5)")).find("exit status 5"), std::string::npos);
  EXPECT_NE(refusal(model("X", "[0 for _ in iter(int, 1)]")).find("processor"), std::string::npos);
  EXPECT_NE(refusal(model("X", "n.ones(99 << 30, 'u1')")).find("python.memory"), std::string::npos);
}

TEST(WorkerPool, IsBrokenOff) {
  const std::atomic<bool> abandoned = true;
  auto options = options_for(model("X", "time.sleep(600)"));
  options.abandoned = &abandoned;
  const auto pool = WorkerPool::start(std::move(options));
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().reason, "abandoned");
}

TEST(FindPython, SaysWhatToDo) {
  EXPECT_FALSE(python().sklearn.empty());
  const auto none = find_python("/bin/false");
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("--python"), std::string::npos);
  EXPECT_EQ(none.error().message.find('/'), std::string::npos);
  EXPECT_FALSE(find_python("no-such-python"));
}

}  // namespace
}  // namespace sluice::engines
