#include "sources/triton_config.h"

#include "base/text.h"

namespace sluice::sources {
namespace {

// The text after `name` and a colon on a line of its own, or nothing.
std::optional<std::string_view> field(std::string_view line, std::string_view name) {
  line = trim(line);
  if (!line.starts_with(name)) return std::nullopt;
  line = trim(line.substr(name.size()));
  if (!line.starts_with(':')) return std::nullopt;
  line = trim(line.substr(1));
  return line.substr(0, line.find_first_of("#,;\r"));
}

}  // namespace

TritonConfig read_triton_config(std::string_view text) {
  TritonConfig out;
  for (const auto line : split(text, '\n')) {
    if (trim(line).starts_with("ensemble_scheduling")) out.is_ensemble = true;
    if (const auto value = field(line, "max_batch_size"))
      out.max_batch_size = parse_int(trim(*value));
    if (const auto value = field(line, "default_model_filename")) {
      auto name = trim(*value);
      if (name.size() >= 2 && (name.front() == '"' || name.front() == '\'')) {
        name = name.substr(1, name.size() - 2);
      }
      if (name.find('/') == std::string_view::npos) out.default_model_filename = name;
    }
  }
  return out;
}

}  // namespace sluice::sources
