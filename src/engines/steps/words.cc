#include "engines/steps/words.h"

#include <utf8proc.h>

#include <array>

#include "base/text.h"

namespace sluice::engines {
namespace {

constexpr std::size_t kLongestWord = 100;  // characters, as in BERT
constexpr utf8proc_int32_t kReplacement = 0xFFFD;

bool is_space(utf8proc_int32_t c) {
  if (c == ' ' || c == '\t' || c == '\n' || c == '\r') return true;
  if (c < 0x80) return false;
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP;
}

bool is_left_out(utf8proc_int32_t c) {
  if (c < 0x80) return c < 0x20 || c == 0x7F;
  if (c == kReplacement) return true;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CS: return true;
    default: return false;
  }
}

bool is_punctuation(utf8proc_int32_t c) {
  // All of ASCII that is neither letter nor digit, whatever Unicode calls "$" or "^".
  if (c < 0x80) {
    return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
           (c >= 123 && c <= 126);
  }
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

// `\w` of Python's re for texts: str.isalnum() or "_".
bool is_word(utf8proc_int32_t c) {
  if (c < 0x80) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  }
  const auto category = utf8proc_category(c);
  const bool letter = category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  return letter || (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

// The blocks of CJK Unified Ideographs; Japanese and Korean letters are not among them.
bool is_chinese(utf8proc_int32_t c) {
  static constexpr std::array<std::pair<utf8proc_int32_t, utf8proc_int32_t>, 8> kBlocks = {
      {{0x4E00, 0x9FFF},
       {0x3400, 0x4DBF},
       {0x20000, 0x2A6DF},
       {0x2A700, 0x2B73F},
       {0x2B740, 0x2B81F},
       {0x2B820, 0x2CEAF},
       {0xF900, 0xFAFF},
       {0x2F800, 0x2FA1F}}};
  if (c < 0x3400) return false;
  for (const auto& [first, last] : kBlocks) {
    if (c >= first && c <= last) return true;
  }
  return false;
}

void append_utf8(utf8proc_int32_t c, std::string& out) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  const auto size = utf8proc_encode_char(c, bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(size));
}

// The character without its accents: what it decomposes into, without marks.
void append_bare(utf8proc_int32_t c, std::string& out) {
  std::array<utf8proc_int32_t, 32> parts{};  // no character decomposes into more than 18
  int unused = 0;
  const auto count =
      utf8proc_decompose_char(c, parts.data(), parts.size(), UTF8PROC_DECOMPOSE, &unused);
  if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) return append_utf8(c, out);
  for (utf8proc_ssize_t i = 0; i < count; ++i) {
    const auto part = parts[static_cast<std::size_t>(i)];
    if (utf8proc_category(part) != UTF8PROC_CATEGORY_MN) append_utf8(part, out);
  }
}

void append_space(std::string& out) {
  if (!out.empty() && out.back() != ' ') out += ' ';
}

class Normaliser {
 public:
  Normaliser(const WordRules& rules, std::string& out) : rules_(rules), out_(out) {}

  // The number of bytes that were taken.
  std::size_t take(std::string_view text) {
    const auto first = static_cast<unsigned char>(text[0]);
    utf8proc_int32_t c = first;
    std::size_t size = 1;
    if (first >= 0x80) {
      const auto got = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                        static_cast<utf8proc_ssize_t>(text.size()), &c);
      if (got <= 0) {
        if (rules_.method == SplitMethod::kWhitespace) out_ += text[0];
        return 1;
      }
      size = static_cast<std::size_t>(got);
    }
    put(c);
    return size;
  }

 private:
  void put(utf8proc_int32_t c) {
    if (is_space(c)) return append_space(out_);
    const bool plain = rules_.method == SplitMethod::kWhitespace;
    const bool words = rules_.method == SplitMethod::kWords;
    if (!plain && is_left_out(c)) {
      if (words) append_space(out_);
      return;
    }
    const bool alone =
        words ? !is_word(c) && !is_lost_accent(c) : !plain && (is_punctuation(c) || is_chinese(c));
    if (alone) append_space(out_);
    if (rules_.lowercase) c = c < 0x80 ? lower_ascii(c) : utf8proc_tolower(c);
    if (rules_.strip_accents && c >= 0x80) {
      append_bare(c, out_);
    } else {
      append_utf8(c, out_);
    }
    if (alone) append_space(out_);
  }

  // A mark that is taken off with its letter does not end a word.
  bool is_lost_accent(utf8proc_int32_t c) const {
    return rules_.strip_accents && utf8proc_category(c) == UTF8PROC_CATEGORY_MN;
  }

  static utf8proc_int32_t lower_ascii(utf8proc_int32_t c) {
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  }

  const WordRules& rules_;
  std::string& out_;
};

std::size_t characters(std::string_view word) {
  std::size_t count = 0;
  for (const char c : word) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

// False where some part of the word is in no piece; then nothing is appended.
bool append_pieces(std::string_view word, const TokenIds& vocabulary,
                   std::vector<std::int64_t>& ids) {
  const auto before = ids.size();
  std::string piece;
  std::size_t start = 0;
  while (start < word.size()) {
    std::size_t end = word.size();
    std::optional<std::int64_t> found;
    while (end > start && !found) {
      piece = start > 0 ? "##" : "";
      piece += word.substr(start, end - start);
      found = vocabulary.find(piece);
      // One character less, not one byte.
      if (!found) {
        do {
          --end;
        } while (end > start && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80);
      }
    }
    if (!found) {
      ids.resize(before);
      return false;
    }
    ids.push_back(*found);
    start = end;
  }
  return true;
}

}  // namespace

void normalise(std::string_view text, const WordRules& rules, std::string& out) {
  out.clear();
  Normaliser normaliser(rules, out);
  while (!text.empty()) text.remove_prefix(normaliser.take(text));
  if (!out.empty() && out.back() == ' ') out.pop_back();
}

void append_ids(std::string_view text, const WordRules& rules, const TokenIds& vocabulary,
                std::optional<std::int64_t> unknown, std::size_t most, std::string& scratch,
                std::vector<std::int64_t>& ids) {
  const auto limit = ids.size() + most;
  normalise(text, rules, scratch);
  std::string_view rest = scratch;
  while (!rest.empty() && ids.size() < limit) {
    const auto end = std::min(rest.find(' '), rest.size());
    const auto word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (word.empty()) continue;
    if (rules.method == SplitMethod::kWordpiece) {
      if (characters(word) <= kLongestWord && append_pieces(word, vocabulary, ids)) continue;
    } else if (const auto id = vocabulary.find(word)) {
      ids.push_back(*id);
      continue;
    }
    if (unknown) ids.push_back(*unknown);
  }
  if (ids.size() > limit) ids.resize(limit);
}

}  // namespace sluice::engines
