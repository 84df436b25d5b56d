// What is kept of a finished request for those that look at it later, on a thread of their own:
// the prediction log, drift, `/api/models/{m}/recent`.
//
// A Record is a view of packed bytes: `pack` copies what it needs of a request (its inputs would be
// gone a moment later), `unpack` reads it back. Inputs above `kMostInputBytes` are left out, and
// said to be.
//
// Thread-safety: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/outcome.h"
#include "core/request.h"
#include "core/tensor.h"

namespace sluice::observers {

// Who wants it, one bit each.
enum Wanted : std::uint8_t { kForLog = 1, kForDrift = 2, kForRecent = 4 };

constexpr std::size_t kMostInputBytes = std::size_t{64} << 10;

struct Record {
  // Of fixed size; copied as it is.
  struct Head {
    std::int64_t at_ns = 0;  // when it was answered, since 1970
    double total_ms = 0;     // from its arrival until its answer was there
    double queue_ms = 0;
    double compute_ms = 0;
    double label = Outcome::kNone;  // `true_label`
    std::uint64_t release = 0;      // 0: no release chose
    double probability = 1;         // with which its arm was chosen
    std::uint64_t rows = 0;
    std::uint8_t wanted = 0;
    Protocol protocol = Protocol::kInside;
    Ending ending = Ending::kAnswered;
    bool from_cache = false;
    bool many_rows = false;
    bool classified = false;
    bool single_precision = false;
    bool unsound = false;
    bool inputs_left_out = false;
    bool fetched = false;  // its features were
  };

  Head head;
  std::string_view model;
  std::string_view version;
  std::string_view request_id;
  std::string_view user_id;
  std::string_view reason;   // of its error, or empty
  std::string_view message;  // the same as a sentence
  std::vector<TensorView> inputs;
  Shape row_shape;  // of one row's value
  std::span<const double> values;
  std::span<const double> confidences;
  std::span<const double> probabilities;
  std::vector<std::string_view> labels;
  std::vector<std::string_view> warnings;
  std::vector<std::string_view> texts;  // memory of string inputs; theirs are views of it
  // Where features were fetched, as in FeatureAsk::entities and Request::feature_times; left out
  // with the inputs.
  std::vector<std::string_view> entities;
  std::span<const std::int64_t> times;

  std::size_t width() const { return head.rows == 0 ? 0 : values.size() / head.rows; }
};

// Bytes that `pack` writes.
std::size_t packed_size(const Request& request, const Record::Head& head);
// `out` has `packed_size` bytes and is aligned to 8.
void pack(const Request& request, const Record::Head& head, std::span<std::byte> out);
// What `pack` wrote, in this process; views `bytes`. `record` may be used again and again.
void unpack(std::span<const std::byte> bytes, Record& record);

}  // namespace sluice::observers
