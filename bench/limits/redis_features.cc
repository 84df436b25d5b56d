// Entities a second that features/redis reads on one thread, 10 numbers each.
// bench_redis_features URL [ENTITIES_PER_CALL [KEYS [SECONDS]]]
//
// The hashes user:0 … user:9999 with f0 … f9 must be there, such as by
//   redis-cli -p PORT EVAL "for i = 0, 9999 do for f = 0, 9 do redis.call('HSET', 'user:' .. i,
//     'f' .. f, i + f + 0.5) end end" 0
// KEYS: how many of them are asked for in turn (10000). Beside it, in the same minute:
//   redis-benchmark -p PORT -P 64 -n 2000000 -q hmget user:1 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "features/builtin.h"

namespace {

using Clock = std::chrono::steady_clock;

long number(int argc, char** argv, int index, long otherwise) {
  return argc > index ? std::atol(argv[index]) : otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("a URL is missing, such as redis://127.0.0.1:6379\n", stderr);
    return 2;
  }
  const auto per_call = static_cast<std::size_t>(number(argc, argv, 2, 512));
  const auto keys = static_cast<std::size_t>(number(argc, argv, 3, 10'000));
  const std::chrono::seconds length(number(argc, argv, 4, 3));
  sluice::features::StoreOptions options;
  options.url = argv[1];
  options.key = "user:{user_id}";
  sluice::FeatureLookup lookup;
  lookup.keys = {{"user_id"}};
  for (int i = 0; i < 10; ++i) {
    lookup.features.push_back({"f" + std::to_string(i), sluice::FeatureType::kNumber});
  }
  const auto store = sluice::features::open_store(options);
  if (!store) return std::fprintf(stderr, "%s\n", store.error().message.c_str()), 1;
  const auto reader = (*store)->reader(lookup);
  if (!reader) return std::fprintf(stderr, "%s\n", reader.error().message.c_str()), 1;

  std::vector<std::string> users;
  for (std::size_t i = 0; i < keys; ++i) users.push_back(std::to_string(i));
  std::size_t asked = 0;
  std::size_t known = 0;
  const auto begin = Clock::now();
  while (Clock::now() - begin < length) {
    std::vector<std::string_view> values;
    for (std::size_t i = 0; i < per_call; ++i) values.emplace_back(users[(asked + i) % keys]);
    std::vector<sluice::EntityValues> entities;
    for (const auto& value : values) entities.emplace_back(&value, 1);
    std::vector<sluice::FeatureRow> rows(per_call);
    const auto done = (*reader)->read(entities, rows, Clock::now() + std::chrono::seconds(10));
    if (!done) return std::fprintf(stderr, "%s\n", done.error().message.c_str()), 1;
    for (const auto& row : rows) known += row.known ? 1 : 0;
    asked += per_call;
  }
  const std::chrono::duration<double> took = Clock::now() - begin;
  std::printf("%.0f entities a second, %zu of %zu known\n",
              static_cast<double>(asked) / took.count(), known, asked);
  return known == asked ? 0 : 1;
}
