#include "engines/onnx_words.h"

#include <algorithm>

#include "base/text.h"

namespace sluice::engines {
namespace {

// What follows "/file.cc:12 void function(arguments) const " at the front of a text.
std::string_view after_signature(std::string_view text) {
  const auto path = text.find(".cc:");
  auto at = path == std::string_view::npos ? path : text.find('(', path);
  if (at == std::string_view::npos) return text;
  int depth = 0;
  for (; at < text.size(); ++at) {
    depth += text[at] == '(' ? 1 : text[at] == ')' ? -1 : 0;
    if (depth == 0) break;
  }
  auto rest = text.substr(std::min(at + 1, text.size()));
  for (const std::string_view word : {" const", " noexcept", " "}) {
    if (rest.starts_with(word)) rest.remove_prefix(word.size());
  }
  return rest.empty() ? text : rest;
}

}  // namespace

std::string first_sentence(std::string_view text) {
  text = after_signature(text);
  std::string out;
  for (const auto word : split(text.substr(0, text.find('\n')), ' ')) {
    if (word.find('/') != std::string_view::npos || word.find("::") != std::string_view::npos) {
      continue;
    }
    if (!out.empty()) out += ' ';
    out += word;
  }
  return printable(out, 300);
}

}  // namespace sluice::engines
