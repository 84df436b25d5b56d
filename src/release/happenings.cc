#include "release/happenings.h"

#include <bit>
#include <cstring>

namespace sluice::release {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr char kOutcomes = 'o';
constexpr char kFeedback = 'f';

// As it lies in the bytes: every field at a multiple of its size, nothing between them.
struct PackedOutcome {
  std::uint64_t release;
  std::uint64_t unit;
  std::uint64_t id_high;
  std::uint64_t id_low;
  double prediction;
  double label;
  std::int64_t at;
  std::uint32_t arm;
  std::uint32_t epoch;
  float probability;
  float millis;
  std::uint8_t ending;
  std::uint8_t unsound;
  std::uint8_t recalled;
  std::uint8_t unused[5];
};
static_assert(sizeof(PackedOutcome) == 80 && std::is_trivially_copyable_v<PackedOutcome>);

PackedOutcome packed(const Outcome& outcome, const SharedClock& clock) {
  return {.release = outcome.choice.release,
          .unit = outcome.choice.unit,
          .id_high = outcome.id.high,
          .id_low = outcome.id.low,
          .prediction = outcome.prediction,
          .label = outcome.label,
          .at = clock.millis(outcome.at),
          .arm = outcome.choice.arm,
          .epoch = outcome.choice.epoch,
          .probability = outcome.choice.probability,
          .millis = outcome.millis,
          .ending = static_cast<std::uint8_t>(outcome.ending),
          .unsound = outcome.unsound,
          .recalled = outcome.recalled,
          .unused = {}};
}

Outcome unpacked(const PackedOutcome& from, const SharedClock& clock) {
  Outcome out;
  out.choice.release = from.release;
  out.choice.arm = from.arm;
  out.choice.probability = from.probability;
  out.choice.epoch = from.epoch;
  out.choice.unit = from.unit;
  out.ending = static_cast<Ending>(from.ending);
  out.unsound = from.unsound != 0;
  out.recalled = from.recalled != 0;
  out.millis = from.millis;
  out.id = {from.id_high, from.id_low};
  out.prediction = from.prediction;
  out.label = from.label;
  out.at = clock.local(from.at);
  return out;
}

template <class T>
void append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void append_text(std::string& out, std::string_view text) {
  append(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}

// Reads what lies in bytes; after the end nothing is good.
class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }
  template <class T>
  bool take(T& out) {
    if (rest_.size() < sizeof(T)) return false;
    std::memcpy(&out, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return true;
  }
  bool take_text(std::string& out) {
    std::uint32_t size = 0;
    if (!take(size) || rest_.size() < size) return false;
    out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

double number_or_none(const std::optional<double>& number) {
  return number ? *number : Outcome::kNone;
}

bool read_outcomes(Bytes& bytes, const SharedClock& clock, const HappeningReader& reader) {
  std::uint32_t count = 0;
  if (!bytes.take(count)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    PackedOutcome packed{};
    if (!bytes.take(packed) || packed.ending >= kEndings) return false;
    reader.outcome(unpacked(packed, clock), packed.at);
  }
  return true;
}

bool read_feedback(Bytes& bytes, const HappeningReader& reader) {
  ToldFeedback out;
  double label = 0;
  double reward = 0;
  std::uint8_t has = 0;
  const bool good = bytes.take_text(out.letter) && bytes.take_text(out.model) &&
                    bytes.take_text(out.told.request_id) && bytes.take(has) && bytes.take(label) &&
                    bytes.take(reward);
  if (!good) return false;
  if ((has & 1) != 0) out.told.label = label;
  if ((has & 2) != 0) out.told.reward = reward;
  reader.feedback(std::move(out));
  return true;
}

}  // namespace

WallMillis SharedClock::millis(std::chrono::steady_clock::time_point at) const {
  return there + std::chrono::duration_cast<std::chrono::milliseconds>(at - here).count();
}

std::chrono::steady_clock::time_point SharedClock::local(WallMillis millis) const {
  return here + std::chrono::milliseconds(millis - there);
}

std::string bytes_of(const Happenings& happenings, const SharedClock& clock) {
  std::string out;
  out.reserve(happenings.outcomes.size() * sizeof(PackedOutcome) + 16);
  if (!happenings.outcomes.empty()) {
    out += kOutcomes;
    append(out, static_cast<std::uint32_t>(happenings.outcomes.size()));
    for (const auto& outcome : happenings.outcomes) append(out, packed(outcome, clock));
  }
  for (const auto& [letter, model, told] : happenings.feedback) {
    out += kFeedback;
    append_text(out, letter);
    append_text(out, model);
    append_text(out, told.request_id);
    append(out, static_cast<std::uint8_t>((told.label ? 1 : 0) | (told.reward ? 2 : 0)));
    append(out, number_or_none(told.label));
    append(out, number_or_none(told.reward));
  }
  return out;
}

bool read_happenings(std::string_view bytes, const SharedClock& clock,
                     const HappeningReader& reader) {
  Bytes rest(bytes);
  while (!rest.empty()) {
    char kind = 0;
    rest.take(kind);
    const bool good = kind == kOutcomes   ? read_outcomes(rest, clock, reader)
                      : kind == kFeedback ? read_feedback(rest, reader)
                                          : false;
    if (!good) return false;
  }
  return true;
}

}  // namespace sluice::release
