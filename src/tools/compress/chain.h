// Methods one after the other: "prune:sparsity=0.3,scope=layer+static-int8".
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/compress/method.h"

namespace sluice::tools::compress {

struct Link {
  const Method* method = nullptr;
  Node settings;  // a map
};
using Chain = std::vector<Link>;

// Errors: kInvalidArgument/`unknown_method`, `bad_settings`.
Result<Chain> parse_chain(std::string_view text);
// The same chain, written in one way.
std::string show(const Chain& chain);
// Whether it cannot do without calibration rows.
bool needs_calibration(const Chain& chain);

struct ChainTask {
  std::filesystem::path from;
  std::filesystem::path scratch;  // an empty folder; what is made is in a folder below it
  const Dataset* calibration = nullptr;
  const Lab& lab;
  const std::atomic<bool>& stop;
  std::function<void(std::string_view what, double done)> progress;
};

// Made::details: {"methods": [{"method", "settings", "seconds", …the method's own}]}. Errors: the
// methods', `wrong_format` where one does not take what it is given.
Result<Made> run_chain(const Chain& chain, const ChainTask& task);

}  // namespace sluice::tools::compress
