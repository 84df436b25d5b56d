// How often each bucket was hit: what the cells of all threads add up to, at one look.
//
// Mergeable: histograms of threads, versions and replicas add up to that of all, and the difference
// of two looks is what came between them.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace sluice {

template <class Buckets>
class Histogram {
 public:
  void add(std::size_t bucket, std::uint64_t count) {
    counts_[bucket] += count;
    total_ += count;
  }
  void merge(const Histogram& other) {
    for (const auto& [bucket, count] : other.counts_) add(bucket, count);
  }
  // What came since `before`, an earlier look at the same.
  Histogram since(const Histogram& before) const {
    Histogram out;
    for (const auto& [bucket, count] : counts_) {
      const auto found = before.counts_.find(bucket);
      const auto had = found == before.counts_.end() ? 0 : found->second;
      if (count > had) out.add(bucket, count - had);
    }
    return out;
  }

  std::uint64_t count() const { return total_; }
  const std::map<std::size_t, std::uint64_t>& counts() const { return counts_; }
  // The middle of the bucket that the quantile lies in (0 where there is nothing). `q`: 0 to 1.
  double quantile(double q) const {
    if (total_ == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(total_ - 1) + 0.5);
    std::uint64_t before = 0;
    for (const auto& [bucket, count] : counts_) {
      before += count;
      if (before > rank) return Buckets::middle(bucket);
    }
    return 0;
  }
  // How many lie in buckets whose middle is at most `value`.
  std::uint64_t at_most(double value) const {
    std::uint64_t out = 0;
    for (const auto& [bucket, count] : counts_) {
      if (Buckets::middle(bucket) > value) break;
      out += count;
    }
    return out;
  }

 private:
  std::map<std::size_t, std::uint64_t> counts_;
  std::uint64_t total_ = 0;
};

}  // namespace sluice
