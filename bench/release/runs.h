// Many runs of one simulation, each with its own seed, which follows from the cell's name and the
// run's number: a run can be repeated alone, and cells that are added change no others.
//
// Thread-safety: `each_run` uses every core; `run` must not share what it changes.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/hash.h"
#include "base/random.h"

namespace bench {

// The results in the order of the runs.
template <class Function>
auto each_run(std::string_view cell, std::uint64_t runs, const Function& run) {
  using Value = std::invoke_result_t<const Function&, sluice::Random&>;
  std::vector<Value> out(runs);
  std::atomic<std::uint64_t> next = 0;
  const auto work = [&] {
    for (std::uint64_t i = next++; i < runs; i = next++) {
      sluice::Random random(sluice::hash64(fmt::format("{} #{}", cell, i)));
      out[i] = run(random);
    }
  };
  std::vector<std::jthread> threads(std::max(1U, std::thread::hardware_concurrency()));
  for (auto& thread : threads) thread = std::jthread(work);
  for (auto& thread : threads) thread.join();
  return out;
}

template <class Value, class Test>
std::uint64_t count_if(const std::vector<Value>& values, const Test& test) {
  return static_cast<std::uint64_t>(std::ranges::count_if(values, test));
}

}  // namespace bench
