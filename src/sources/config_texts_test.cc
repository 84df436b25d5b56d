#include "sources/config_texts.h"

#include <gtest/gtest.h>

namespace sluice::sources {
namespace {

class Failing final : public ObjectStore {
 public:
  std::string_view name() const override { return "the store"; }
  Result<std::vector<Object>> list(const std::atomic<bool>&) override {
    return std::vector<Object>();
  }
  Result<Fetched> fetch(const Object&, Range, const ByteSink& sink,
                        const std::atomic<bool>&) override {
    ++asked;
    if (fails) return unavailable("store_busy", "the store fails");
    sink(std::as_bytes(std::span(std::string_view("text"))));
    return Fetched{};
  }

  bool fails = true;
  int asked = 0;
};

// Looks would take seconds for as long as one file cannot be had.
TEST(ConfigTexts, WhatFailsHoldsUpNoLookForLong) {
  Failing store;
  const std::atomic<bool> never = false;
  ConfigTexts texts(store, never);
  const auto look = [&] {
    store.asked = 0;
    texts.begin_look();
    for (const char* key : {"a/model.yaml", "b/model.yaml"}) {
      (void)texts.read({key, 4, "\"1\"", {}, {}});
    }
    return store.asked;
  };
  EXPECT_EQ(look(), kTries + 1) << "of another there is one try";
  EXPECT_EQ(look(), 2);
  store.fails = false;
  EXPECT_EQ(look(), 2);
  EXPECT_EQ(look(), 0) << "they are known";
  EXPECT_EQ(texts.texts().size(), 2U);
}

// What another process read of it, where the store does not give it now.
TEST(ConfigTexts, WhatWasKnownBeforeHoldsWhileItIsTheSame) {
  Failing store;
  const std::atomic<bool> never = false;
  KnownTexts known;
  {
    Failing good;
    good.fails = false;
    ConfigTexts before(good, never);
    ASSERT_TRUE(before.read({"m/model.yaml", 4, "\"1\"", {}, {}}));
    known = before.texts();
  }
  ConfigTexts texts(store, never);
  texts.set_before(known);
  EXPECT_EQ(texts.read({"m/model.yaml", 4, "\"1\"", {}, {}}).value_or(""), "text");
  ConfigTexts others(store, never);
  others.set_before(known);
  EXPECT_FALSE(others.read({"m/model.yaml", 4, "\"2\"", {}, {}})) << "it is another by now";
  EXPECT_EQ(others.texts().size(), 1U) << "but kept for a start without the store";
}

}  // namespace
}  // namespace sluice::sources
