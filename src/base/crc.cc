#include "base/crc.h"

#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little);

// All three are "reflected": a byte's lowest bit is its highest power.
struct Polynomial {
  int width;
  std::uint64_t bits;  // the lowest bit is the highest power but one

  constexpr std::uint64_t mask() const { return ~std::uint64_t{0} >> (64 - width); }
  constexpr std::uint64_t times_x(std::uint64_t value) const {
    return (value >> 1) ^ ((value & 1) != 0 ? bits : 0);
  }
};

constexpr std::array<Polynomial, 3> kPolynomials = {
    {{32, 0xedb88320}, {32, 0x82f63b78}, {64, 0x9a6c9329ac4bc9b5}}};

// [k][b]: of byte `b` and k zeros behind it.
using Tables = std::array<std::array<std::uint64_t, 256>, 8>;

Tables tables_of(const Polynomial& polynomial) {
  Tables out;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    std::uint64_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = polynomial.times_x(value);
    out[0][byte] = value;
  }
  for (std::size_t zeros = 1; zeros < out.size(); ++zeros) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const auto before = out[zeros - 1][byte];
      out[zeros][byte] = (before >> 8) ^ out[0][before & 255];
    }
  }
  return out;
}

const Tables& tables(Crc::Kind kind) {
  static const std::array<Tables, 3> kAll = {tables_of(kPolynomials[0]), tables_of(kPolynomials[1]),
                                             tables_of(kPolynomials[2])};
  return kAll[static_cast<std::size_t>(kind)];
}

std::uint64_t by_tables(const Tables& of, std::uint64_t state, std::span<const std::byte> bytes) {
  for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), sizeof word);
    word ^= state;
    state = 0;
    for (std::size_t i = 0; i < 8; ++i) state ^= of[7 - i][(word >> (8 * i)) & 255];
  }
  for (const auto byte : bytes) {
    state = (state >> 8) ^ of[0][(state ^ std::to_integer<std::uint64_t>(byte)) & 255];
  }
  return state;
}

#if defined(__x86_64__)
// What 16 bytes are multiplied with, so that they count as much as if they stood `bits` further
// on: the first eight with x^(bits + 64), the last eight with x^bits, either divided by x since a
// product of two reflected numbers is one power short.
struct Fold {
  std::uint64_t first;
  std::uint64_t last;
};

// x^`power` modulo the polynomial, in the high bits.
constexpr std::uint64_t power_of_x(const Polynomial& polynomial, int power) {
  std::uint64_t out = std::uint64_t{1} << (polynomial.width - 1);
  for (int i = 0; i < power; ++i) out = polynomial.times_x(out);
  return out << (64 - polynomial.width);
}

constexpr Fold fold_over(const Polynomial& polynomial, int bits) {
  return {power_of_x(polynomial, bits + 63), power_of_x(polynomial, bits - 1)};
}

struct Folds {
  Fold by_64_bytes;
  Fold by_16_bytes;
};

constexpr std::array<Folds, 3> kFolds = [] {
  std::array<Folds, 3> out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = {fold_over(kPolynomials[i], 512), fold_over(kPolynomials[i], 128)};
  }
  return out;
}();

// As __m128i, which templates do not take without a warning.
using Sixteen = long long __attribute__((vector_size(16)));

#define SLUICE_CARRYLESS __attribute__((target("pclmul,sse2")))

SLUICE_CARRYLESS inline __m128i factors(const Fold& fold) {
  return _mm_set_epi64x(static_cast<long long>(fold.last), static_cast<long long>(fold.first));
}

SLUICE_CARRYLESS inline __m128i folded(__m128i bytes, __m128i factors) {
  return _mm_xor_si128(_mm_clmulepi64_si128(bytes, factors, 0x00),
                       _mm_clmulepi64_si128(bytes, factors, 0x11));
}

SLUICE_CARRYLESS inline __m128i load(const std::byte* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

constexpr std::size_t kBlock = 64;

// Sixteen bytes with the same remainder as the state and whole blocks, of which there is at least
// one. Four chains, since a multiplication takes several cycles.
SLUICE_CARRYLESS std::array<std::byte, 16> fold_blocks(const Folds& folds, std::uint64_t state,
                                                       std::span<const std::byte> blocks) {
  std::array<Sixteen, 4> sums;
  const std::byte* from = blocks.data();
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = load(from + 16 * i);
  sums[0] = _mm_xor_si128(sums[0], _mm_set_epi64x(0, static_cast<long long>(state)));
  const auto far = factors(folds.by_64_bytes);
  for (std::size_t left = blocks.size() / kBlock - 1; left > 0; --left) {
    from += kBlock;
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] = _mm_xor_si128(folded(sums[i], far), load(from + 16 * i));
    }
  }
  const auto near = factors(folds.by_16_bytes);
  for (std::size_t i = 1; i < sums.size(); ++i) {
    sums[i] = _mm_xor_si128(sums[i], folded(sums[i - 1], near));
  }
  std::array<std::byte, 16> out;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out.data()), sums[3]);
  return out;
}

bool has_carryless() {
  static const bool kHas = __builtin_cpu_supports("pclmul") != 0;
  return kHas;
}
#endif

}  // namespace

void Crc::update(std::span<const std::byte> bytes) {
  const auto& of = tables(kind_);
  auto state = state_ & kPolynomials[static_cast<std::size_t>(kind_)].mask();
#if defined(__x86_64__)
  const auto whole = bytes.size() / kBlock * kBlock;
  if (whole > 0 && has_carryless()) {
    const auto& folds = kFolds[static_cast<std::size_t>(kind_)];
    state = by_tables(of, 0, fold_blocks(folds, state, bytes.first(whole)));
    bytes = bytes.subspan(whole);
  }
#endif
  state_ = by_tables(of, state, bytes);
}

std::uint64_t Crc::value() const {
  return ~state_ & kPolynomials[static_cast<std::size_t>(kind_)].mask();
}

std::string Crc::finish() {
  std::string out;
  for (int bits = kPolynomials[static_cast<std::size_t>(kind_)].width - 8; bits >= 0; bits -= 8) {
    out += static_cast<char>((value() >> bits) & 255);
  }
  *this = Crc(kind_);
  return out;
}

}  // namespace sluice
