#include "tools/compress/timing.h"

#include <gtest/gtest.h>

#include <thread>

#include "tools/compress/testing/signatures.h"

namespace sluice::tools::compress {
namespace {

// Takes some time for each row, and counts what it is asked.
class Slow final : public Model {
 public:
  explicit Slow(std::chrono::microseconds of_row) : of_row_(of_row) {}

  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView>,
                   Arena&) const override {
    const auto rows = static_cast<std::size_t>(inputs[0].shape[0]);
    ++runs;
    most = std::max(most, rows);
    std::this_thread::sleep_for(of_row_ * rows);
    return {};
  }
  std::string_view platform() const override { return "slow"; }
  std::vector<Fact> facts() const override { return {{"kind", "slow"}}; }
  std::uint64_t parameters() const override { return 0; }

  mutable int runs = 0;
  mutable std::size_t most = 0;  // rows

 private:
  std::chrono::microseconds of_row_;
  Signature signature_ = compress::signature({input("x", {-1, 2})});
};

Dataset rows(std::int64_t count) {
  static const std::vector<float> kZeros(2000);
  TensorView tensor;
  tensor.dtype = DType::kFloat32;
  tensor.shape.push(count);
  tensor.shape.push(2);
  tensor.data = std::as_bytes(std::span(kZeros).first(static_cast<std::size_t>(2 * count)));
  Dataset out;
  out.add(std::span(&tensor, 1), static_cast<std::size_t>(count));
  return out;
}

TEST(Timing, OfSlowModelsFewRunsAreEnough) {
  using namespace std::chrono_literals;
  const Slow before(20ms);
  const Slow after(20ms);
  const auto timing = time_both(before, after, rows(64), 40ms, std::atomic<bool>(false));
  ASSERT_TRUE(timing);
  EXPECT_EQ(timing->before.batch, 1);  // 64 would take a second each time
  EXPECT_EQ(before.most, 1);
  EXPECT_EQ(before.runs, 8);  // one to warm up and three turns, alone and together
  EXPECT_EQ(after.runs, 8);
  EXPECT_GE(timing->before.p50_us, 20'000);
}

TEST(Timing, OfFastModelsBatchesAreLarge) {
  using namespace std::chrono_literals;
  const Slow before(0us);
  const Slow after(0us);
  const auto timing = time_both(before, after, rows(1000), 1000ms, std::atomic<bool>(false));
  ASSERT_TRUE(timing);
  EXPECT_EQ(timing->before.batch, 64);
  EXPECT_EQ(after.most, 64);
  EXPECT_GE(before.runs, 42);  // twenty turns and a warm-up, both times
}

TEST(Timing, SmallTablesAreAskedAsTheyAre) {
  using namespace std::chrono_literals;
  const Slow before(0us);
  const Slow after(0us);
  const auto timing = time_both(before, after, rows(5), 100ms, std::atomic<bool>(false));
  ASSERT_TRUE(timing);
  EXPECT_EQ(timing->after.batch, 5);
  EXPECT_EQ(after.most, 5);
}

TimingPair timing(double faster, double throughput) {
  TimingPair out;
  out.before.batch = out.after.batch = 64;
  out.faster = faster;
  out.throughput = throughput;
  return out;
}

TEST(SlowerNote, IsThereWhereOneRowOrABatchTakesLonger) {
  EXPECT_EQ(slower_note(timing(0.5, 0.8)),
            "it is slower on this machine: one row alone takes 2.00 × the original's time, 64 rows "
            "together take 1.25 × of it; unless bytes matter more, keep the original");
  EXPECT_EQ(slower_note(timing(0.5, 2)),
            "it is slower on this machine: one row alone takes 2.00 × the original's time; unless "
            "bytes matter more, keep the original");
  EXPECT_EQ(slower_note(timing(2, 0.8)),
            "it is slower on this machine: 64 rows together take 1.25 × the original's time; "
            "unless bytes matter more, keep the original");
}

TEST(SlowerNote, IsNotThereWhereItIsAsFast) {
  EXPECT_EQ(slower_note(timing(3, 4)), "");
  EXPECT_EQ(slower_note(timing(1, 1)), "");
  EXPECT_EQ(slower_note(timing(0.98, 0.98)), "");  // a machine's moods
}

}  // namespace
}  // namespace sluice::tools::compress
