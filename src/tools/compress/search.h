// Which methods are worth trying on a model, and which of those that were tried are worth having.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace sluice::tools::compress {

struct Tried {
  std::string method;  // as parse_chain takes it; empty: the original
  std::uint64_t bytes = 0;
  double p50_us = 0;
  double drop = 0;
};

// Every method that takes such a file, with the settings that it says are worth trying.
std::vector<std::string> single_methods(const std::filesystem::path& file, bool calibrated);
// Those in `front`, two after each other where that can make sense, that are not in `tried` yet.
std::vector<std::string> combined_methods(std::span<const Tried> tried,
                                          std::span<const std::size_t> front);

// Those that no other is at least as good as in size, latency and drop, and better than in one of
// them; in order of size. Latencies within a twentieth of each other count as equal: they are
// measured.
std::vector<std::size_t> pareto_front(std::span<const Tried> tried);

}  // namespace sluice::tools::compress
