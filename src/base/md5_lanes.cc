#include "base/md5_lanes.h"

#include <bit>
#include <cstring>
#include <utility>

#include "base/always_inline.h"

namespace sluice {
namespace {

constexpr std::size_t kLanes = Md5Lanes::kLanes;
constexpr std::size_t kWords = Md5Lanes::kBlock / 4;
static_assert(std::endian::native == std::endian::little);  // as MD5's words are

using State = std::array<std::array<std::uint32_t, kLanes>, 4>;
// One word of all lanes: a register with AVX-512, two with AVX2, four with SSE2 or NEON.
using Word = std::uint32_t __attribute__((vector_size(4 * kLanes)));

constexpr State kBegin = [] {
  State out{};
  out[0].fill(0x67452301);
  out[1].fill(0xefcdab89);
  out[2].fill(0x98badcfe);
  out[3].fill(0x10325476);
  return out;
}();

// RFC 1321, 3.4: floor(2^32 * |sin(i + 1)|), and how far each step rotates.
constexpr std::array<std::uint32_t, 64> kSines = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
constexpr std::array<std::array<int, 4>, 4> kTurns = {
    {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};

// The step's function of RFC 1321, rewritten with the fewest operations.
template <std::size_t kRound>
SLUICE_ALWAYS_INLINE void mix(const Word& b, const Word& c, const Word& d, Word& out) {
  if constexpr (kRound == 0) out = d ^ (b & (c ^ d));
  if constexpr (kRound == 1) out = c ^ (d & (b ^ c));
  if constexpr (kRound == 2) out = b ^ c ^ d;
  if constexpr (kRound == 3) out = c ^ (b | ~d);
}

constexpr std::size_t word_of(std::size_t step) {
  constexpr std::array<std::size_t, 4> kStride = {1, 5, 3, 7};
  constexpr std::array<std::size_t, 4> kFirst = {0, 1, 5, 0};
  return (kFirst[step / 16] + kStride[step / 16] * step) % kWords;
}

template <std::size_t kStep>
SLUICE_ALWAYS_INLINE void step(const std::array<Word, kWords>& words, std::array<Word, 4>& s) {
  // Who is a, b, c and d goes round.
  Word& a = s[(64 - kStep) % 4];
  const Word& b = s[(65 - kStep) % 4];
  constexpr int kTurn = kTurns[kStep / 16][kStep % 4];
  Word mixed;
  mix<kStep / 16>(b, s[(66 - kStep) % 4], s[(67 - kStep) % 4], mixed);
  a += mixed + words[word_of(kStep)] + kSines[kStep];
  a = ((a << kTurn) | (a >> (32 - kTurn))) + b;
}

template <std::size_t... kStep>
SLUICE_ALWAYS_INLINE void steps(const std::array<Word, kWords>& words, std::array<Word, 4>& s,
                                std::index_sequence<kStep...>) {
  (step<kStep>(words, s), ...);
}

// Of both, each in quarters of four words: first or last two of each quarter, word by word or two
// by two; every other quarter. All of them are one instruction of AVX-512.
SLUICE_ALWAYS_INLINE void first_words(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
SLUICE_ALWAYS_INLINE void last_words(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
SLUICE_ALWAYS_INLINE void first_pairs(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
SLUICE_ALWAYS_INLINE void last_pairs(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
SLUICE_ALWAYS_INLINE void even_quarters(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}
SLUICE_ALWAYS_INLINE void odd_quarters(const Word& a, const Word& b, Word& out) {
  out = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

// Words lie text by text, and are wanted lane by lane.
SLUICE_ALWAYS_INLINE void take_words(Md5Lanes::Bytes& from, std::array<Word, kWords>& words) {
  // Of four texts each: in quarter q of fours[4 * g + j] is word 4 * q + j of the texts of group g.
  std::array<Word, kWords> fours;
  for (std::size_t group = 0; group < 4; ++group) {
    std::array<Word, 4> text;
    for (std::size_t i = 0; i < 4; ++i) {
      std::memcpy(&text[i], from[4 * group + i], sizeof text[i]);
      from[4 * group + i] += Md5Lanes::kBlock;
    }
    Word first01, first23, last01, last23;
    first_words(text[0], text[1], first01);
    first_words(text[2], text[3], first23);
    last_words(text[0], text[1], last01);
    last_words(text[2], text[3], last23);
    first_pairs(first01, first23, fours[4 * group]);
    last_pairs(first01, first23, fours[4 * group + 1]);
    first_pairs(last01, last23, fours[4 * group + 2]);
    last_pairs(last01, last23, fours[4 * group + 3]);
  }
  for (std::size_t j = 0; j < 4; ++j) {
    Word even01, even23, odd01, odd23;
    even_quarters(fours[j], fours[4 + j], even01);
    even_quarters(fours[8 + j], fours[12 + j], even23);
    odd_quarters(fours[j], fours[4 + j], odd01);
    odd_quarters(fours[8 + j], fours[12 + j], odd23);
    even_quarters(even01, even23, words[j]);
    even_quarters(odd01, odd23, words[4 + j]);
    odd_quarters(even01, even23, words[8 + j]);
    odd_quarters(odd01, odd23, words[12 + j]);
  }
}

SLUICE_ALWAYS_INLINE void digest(State& state, Md5Lanes::Bytes& from, std::size_t blocks) {
  std::array<Word, 4> s;
  std::memcpy(s.data(), state.data(), sizeof s);
  for (; blocks > 0; --blocks) {
    std::array<Word, kWords> words;
    take_words(from, words);
    const auto before = s;
    steps(words, s, std::make_index_sequence<64>());
    for (std::size_t i = 0; i < 4; ++i) s[i] += before[i];
  }
  std::memcpy(state.data(), s.data(), sizeof s);
}

void digest_anywhere(State& state, Md5Lanes::Bytes& from, std::size_t blocks) {
  digest(state, from, blocks);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void digest_avx2(State& state, Md5Lanes::Bytes& from,
                                                 std::size_t blocks) {
  digest(state, from, blocks);
}

__attribute__((target("avx512f"))) void digest_avx512(State& state, Md5Lanes::Bytes& from,
                                                      std::size_t blocks) {
  digest(state, from, blocks);
}
#endif

auto* best() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return digest_avx512;
  if (__builtin_cpu_supports("avx2")) return digest_avx2;
#endif
  return digest_anywhere;
}

}  // namespace

Md5Lanes::Md5Lanes() : state_(kBegin) {}

void Md5Lanes::update(Bytes from, std::size_t blocks) {
  static auto* const kDigest = best();
  kDigest(state_, from, blocks);
  length_ += blocks * kBlock;
}

std::array<std::string, kLanes> Md5Lanes::finish(const Bytes& rest, std::size_t size) {
  // A bit, zeros, and the length in bits in the last eight bytes of a block.
  const std::uint64_t bits = (length_ + size) * 8;
  const std::size_t blocks = size + 1 + sizeof bits <= kBlock ? 1 : 2;
  std::array<std::array<std::byte, 2 * kBlock>, kLanes> last{};
  Bytes from{};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    auto* bytes = last[lane].data();
    if (size > 0) std::memcpy(bytes, rest[lane], size);
    bytes[size] = std::byte{0x80};
    std::memcpy(bytes + blocks * kBlock - sizeof bits, &bits, sizeof bits);
    from[lane] = bytes;
  }
  update(from, blocks);
  std::array<std::string, kLanes> out;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    for (const auto& word : state_) {
      out[lane].append(reinterpret_cast<const char*>(&word[lane]), sizeof word[lane]);
    }
  }
  *this = Md5Lanes();
  return out;
}

}  // namespace sluice
