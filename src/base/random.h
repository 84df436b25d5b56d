// Random numbers: xoshiro256++ (Blackman and Vigna, prng.di.unimi.it), 1 ns each.
//
// Seeded by hand where a run must be repeatable, by the system elsewhere. Not for secrets.
//
// Thread-safety: one owner; `thread_random()` is the calling thread's own.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace sluice {

class Random {
 public:
  using result_type = std::uint64_t;

  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) {  // SplitMix64, as its authors advise
      std::uint64_t z = seed += 0x9e3779b97f4a7c15;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
      z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
      word = z ^ (z >> 31);
    }
  }

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }

  result_type operator()() {
    const std::uint64_t out = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return out;
  }

  // Of [0, 1).
  double uniform() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
  // Below `bound`, by a multiplication (Lemire); the bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>((*this)()) * bound) >> 64);
  }

  using State = std::array<std::uint64_t, 4>;
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  State state_{};
};

// 64 bits of the system's.
std::uint64_t random_seed();
Random& thread_random();

}  // namespace sluice
