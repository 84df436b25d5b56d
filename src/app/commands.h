// The command line: one function per sub-command, each in a file of its own, listed in commands.cc.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace CLI {
class App;
}

namespace sluice::app {

// Exit codes (sysexits.h).
enum Exit : int {
  kSuccess = 0,
  kUsage = 64,
  kBadData = 65,
  kNoInput = 66,
  kUnavailable = 69,
  kInternal = 70,
  kTryAgain = 75,
};

// What a sub-command does once its arguments are read; answers the exit code.
using Action = std::function<int()>;

// Of commands that load a model themselves: whether they run pickles and in which Python, and where
// downloads are kept. What is empty is left to SLUICE_CACHE_DIR and its like, or to the default.
struct LoadFlags {
  bool allow_pickle = false;
  std::string python;
  std::string cache_dir;
  std::string cache_size;
};
// Declares them by the names that `serve` has for them; the first two alone, where no model comes
// from afar.
void add_load_flags(CLI::App& app, LoadFlags& load_flags);
void add_pickle_flags(CLI::App& app, LoadFlags& load_flags);

// Declares the sub-command on `app` and answers its action.
Action add_serve(CLI::App& app);
Action add_predict(CLI::App& app);
Action add_explain(CLI::App& app);
Action add_inspect(CLI::App& app);
Action add_models(CLI::App& app);
Action add_release(CLI::App& app);
Action add_features(CLI::App& app);
Action add_config(CLI::App& app);
Action add_batch(CLI::App& app);
Action add_compress(CLI::App& app);
Action add_bench(CLI::App& app);
Action add_completion(CLI::App& app);
Action add_man(CLI::App& app);

// Prints "sluice: MESSAGE" to stderr and answers the exit code for the error.
int complain(const Error& error);
int complain(int exit, std::string_view message);

int run(int argc, char** argv);

}  // namespace sluice::app
