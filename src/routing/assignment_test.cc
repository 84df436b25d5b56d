#include "routing/assignment.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/text.h"
#include "routing/slot_table.h"

namespace sluice::routing {
namespace {

struct Vector {
  std::string model, salt, user, hash;
  std::uint64_t slot, seed;
};

std::string bare(std::string_view cell) {
  std::string out(trim(cell));
  std::erase(out, '`');
  return out;
}

// The table of the page that tells everybody how to do it.
std::vector<Vector> published() {
  std::ifstream page(SLUICE_SOURCE_DIR "/docs/reference/assignment.md");
  std::vector<Vector> out;
  for (std::string line; std::getline(page, line);) {
    const auto cells = split(line, '|');
    if (cells.size() != 8) continue;
    const auto slot = parse_uint(trim(cells[5]));
    const auto seed = parse_uint(trim(cells[6]));
    if (!slot || !seed) continue;  // the head
    out.push_back({bare(cells[1]), bare(cells[2]), bare(cells[3]), bare(cells[4]), *slot, *seed});
  }
  return out;
}

// They were computed with libxxhash and hashlib, from Python.
TEST(Assignment, PublishedVectors) {
  const auto vectors = published();
  ASSERT_EQ(vectors.size(), 20U);
  for (const auto& each : vectors) {
    const auto hash = UserHash(each.model, each.salt).of(each.user);
    EXPECT_EQ(fmt::format("{:016x}", hash), each.hash) << each.user;
    EXPECT_EQ(slot_of(hash), each.slot) << each.user;
    EXPECT_EQ(seed_slot(each.user), each.seed) << each.user;
  }
}

// slots = [int(hashlib.md5(f"user-{i}".encode()).hexdigest(), 16) % 10000 for i in range(10**5)]
// hashlib.sha256("\n".join(map(str, slots)).encode()).hexdigest()
TEST(Assignment, SeedSlotsAreHashlibs) {
  std::string all;
  for (int i = 0; i < 100'000; ++i) {
    if (i > 0) all += '\n';
    all += std::to_string(seed_slot("user-" + std::to_string(i)));
  }
  EXPECT_EQ(sha256_hex(all), "f95b07dc1e5521c69b00211ccb69a10fc76d6c8fa733bf2f43400343c3746202");
}

TEST(Assignment, LongFieldsAreHashedTheSameWay) {
  // The buffer holds 768 bytes; one byte less and one more must make no difference of kind.
  std::set<std::uint64_t> seen;
  for (std::size_t size = 740; size < 780; ++size) {
    seen.insert(UserHash(std::string(size, 'm'), "s").of("u"));
    seen.insert(UserHash("m", std::string(size, 's')).of("u"));
  }
  EXPECT_EQ(seen.size(), 80U);
  EXPECT_NE(UserHash("ab", "c").of("d"), UserHash("a", "bc").of("d"));
}

TEST(Assignment, SlotsAreTheWholeRange) {
  EXPECT_EQ(slot_of(0), 0U);
  EXPECT_EQ(slot_of(~std::uint64_t{0}), kSlots - 1);
  EXPECT_EQ(slot_of(std::uint64_t{1} << 63), kSlots / 2);
}

// Within four standard deviations, for users that are numbers, addresses and ids.
TEST(Assignment, SharesAreMet) {
  constexpr int kUsers = 200'000;
  const UserHash hash("fraud", "2024-11");
  const auto names = std::to_array<std::string_view>({"{}", "user-{:06}", "{}@example.com"});
  for (const auto name : names) {
    std::vector<std::size_t> slots;
    for (int i = 0; i < kUsers; ++i) {
      slots.push_back(slot_of(hash.of(fmt::format(fmt::runtime(name), i))));
    }
    for (const double share : {0.01, 0.1, 0.5}) {
      const auto below = std::ranges::count_if(
          slots, [&](std::size_t slot) { return static_cast<double>(slot) < share * kSlots; });
      EXPECT_NEAR(static_cast<double>(below), share * kUsers,
                  4 * std::sqrt(kUsers * share * (1 - share)))
          << name;
    }
  }
}

// The joint table of ten by ten: uniform, so that each is, and independent. The limit is
// scipy.stats.chi2.isf(1e-4, 99).
TEST(Assignment, SaltsAreIndependent) {
  constexpr int kUsers = 200'000;
  const UserHash one("fraud", "1");
  for (const auto& other : {UserHash("fraud", "2"), UserHash("fraux", "1"), UserHash("", "")}) {
    std::array<int, 100> table{};
    for (int i = 0; i < kUsers; ++i) {
      const auto user = "user-" + std::to_string(i);
      ++table[slot_of(one.of(user)) / 1000 * 10 + slot_of(other.of(user)) / 1000];
    }
    double chi = 0;
    for (const int count : table) chi += std::pow(count - kUsers / 100.0, 2) / (kUsers / 100.0);
    EXPECT_LT(chi, 160.05573829663086);
  }
}

}  // namespace
}  // namespace sluice::routing
