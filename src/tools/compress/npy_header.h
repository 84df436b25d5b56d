// What NumPy writes in front of an array (numpy.lib.format, versions 1 to 3): a Python dict as a
// text. It is read by a grammar of its own, and nothing of it is ever run.
//
// Thread-safety: plain values and a function without state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/tensor.h"

namespace sluice::tools::compress {

struct NpyHeader {
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;  // of the elements, in the file
  std::uint64_t bytes = 0;  // of all elements
};

// The most that is read in front of an array: headers of plain arrays have a few hundred bytes.
inline constexpr std::size_t kMostNpyHeader = std::size_t{64} << 10;

// `front`: the file's first bytes, kMostNpyHeader of them or all. `name` is the file's, for
// messages. Errors: kInvalidArgument/`bad_table`: no such file, cut off in its header, objects, or
// elements in another order than this machine's or than rows one after the other.
Result<NpyHeader> read_npy_header(std::span<const std::byte> front, const std::string& name);

}  // namespace sluice::tools::compress
