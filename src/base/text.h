// Small things done to text, shared by codecs, configuration and commands.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// The candidate nearest to `word` by edit distance, if one is near enough to be a likely typo.
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

// "; did you mean 'x'?" or nothing.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

// The whole of `text` as a decimal integer, or nothing.
std::optional<std::int64_t> parse_int(std::string_view text);
std::optional<std::uint64_t> parse_uint(std::string_view text);
std::optional<double> parse_double(std::string_view text);

// `text` as it may be shown in a message: control characters and long tails are cut out.
std::string printable(std::string_view text, std::size_t limit = 64);

// ASCII only, as in protocols.
bool iequals(std::string_view a, std::string_view b);
// Without spaces and tabs at both ends.
std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

// Length of the valid UTF-8 sequence at the front of a text that is not empty, or 0.
std::size_t utf8_length(std::string_view text);
bool is_utf8(std::string_view text);

// "1, 2 and 3".
std::string join_and(std::span<const std::string> words);

// "1.4 MB".
std::string human_bytes(std::uint64_t bytes);

}  // namespace sluice
