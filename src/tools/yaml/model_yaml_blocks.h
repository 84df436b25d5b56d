// Keys of a model.yaml that a command writes, put into one that is there already.
//
// Every other line stays byte for byte what it was, comments included. Where lines cannot be told
// apart (the file is one {…}, or a key is used again elsewhere by an anchor), the file is written
// anew with the same keys, without its comments.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/error.h"

namespace sluice::tools {

// A key at the edge of the page, and its lines.
struct YamlBlock {
  std::string key;
  std::string text;
};

struct MergedYaml {
  std::string text;
  bool comments_lost = false;
};

// `old`: the text of model.yaml, empty where there is none. Errors: kInvalidArgument/`bad_config`
// where it has mistakes, or would have them; `what` then begins the message.
Result<MergedYaml> put_into_model_yaml(const std::string& old, const std::vector<YamlBlock>& blocks,
                                       std::string_view what);

// A text as a key or a value in any reader of YAML: in quotes where it needs them.
std::string yaml_name(std::string_view text);
// A value on one line.
std::string yaml_flow(const Node& node);

}  // namespace sluice::tools
