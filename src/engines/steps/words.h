// Text → words → token ids, as BERT's tokenizers do it.
//
//   whitespace   words are what stands between white space
//   words        runs of what `\w` is in Python's re: letters, digits and `_`; anything else is a
//                word of its own, but control characters, which only end one
//   wordpiece    what stands between white space, but each punctuation and each Chinese character
//                is a word of its own, and control characters are left out; and a word becomes the
//                longest pieces of it that are in the vocabulary, from its start on, all but the
//                first with "##" before them. A word of which some part is in none, or of more than
//                100 characters, is unknown as a whole.
//
// Bytes that are no UTF-8 are left out (`whitespace` keeps them: it looks at nothing else).
//
// Thread-safety: immutable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace sluice::engines {

enum class SplitMethod { kWhitespace, kWords, kWordpiece };

struct WordRules {
  SplitMethod method = SplitMethod::kWords;
  bool lowercase = true;
  bool strip_accents = false;  // "é" → "e": what Unicode decomposes into a letter and marks
};

// Ids by token.
class TokenIds {
 public:
  void add(std::string token, std::int64_t id) { ids_.insert_or_assign(std::move(token), id); }
  std::optional<std::int64_t> find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }
  std::size_t size() const { return ids_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> ids_;
};

// `text` with one space between words, into `out`, which is emptied first.
void normalise(std::string_view text, const WordRules& rules, std::string& out);

// Appends the ids of a text's words to `ids`, until there are `most` of them. Without `unknown`,
// words that are not in the vocabulary are left out. `scratch` saves allocations between calls.
void append_ids(std::string_view text, const WordRules& rules, const TokenIds& vocabulary,
                std::optional<std::int64_t> unknown, std::size_t most, std::string& scratch,
                std::vector<std::int64_t>& ids);

}  // namespace sluice::engines
