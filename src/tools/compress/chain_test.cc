#include "tools/compress/chain.h"

#include <gtest/gtest.h>

namespace sluice::tools::compress {
namespace {

std::string wrong(std::string_view chain) {
  const auto parsed = parse_chain(chain);
  return parsed ? "" : parsed.error().message;
}

bool has(const std::string& text, std::string_view part) { return text.contains(part); }

TEST(Chain, IsShownAsItWasWritten) {
  constexpr std::string_view kChain = "prune:structure=channels,sparsity=0.25+static-int8";
  const auto chain = parse_chain(kChain);
  ASSERT_TRUE(chain) << chain.error().message;
  EXPECT_EQ(show(*chain), kChain);
}

TEST(Chain, SaysWhichSettingIsWrong) {
  EXPECT_TRUE(has(wrong("prune:structure=channels,sparsity=1.5"), "prune:sparsity=1.5: "));
  EXPECT_TRUE(has(wrong("fp16+static-int8:calibraton=entropy"), "static-int8:calibraton=entropy"));
  EXPECT_TRUE(has(wrong("static-int8:calibraton=entropy"), "did you mean 'calibration'"));
  EXPECT_TRUE(has(wrong("prune:sparsity"), "key=value"));
}

TEST(Chain, AModelOfAnotherKindIsToldItsOwnMethods) {
  const auto chain = parse_chain("fp16");
  ASSERT_TRUE(chain);
  struct NoLab final : Lab {
    Result<std::unique_ptr<Model>> load(const std::filesystem::path&) const override {
      return invalid("unused", "nothing is run");
    }
  };
  const NoLab lab;
  const std::atomic<bool> stop = false;
  const auto made = run_chain(
      *chain, {"trees/model.json", ".", nullptr, lab, stop, [](std::string_view, double) {}});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().reason, "wrong_format");
  EXPECT_TRUE(has(made.error().message, "prune-trees")) << made.error().message;
}

}  // namespace
}  // namespace sluice::tools::compress
