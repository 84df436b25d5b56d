// `sluice compress` without its command line.
//
// Thread-safety: plain values; the function is called once at a time.
#pragma once

#include <atomic>
#include <string>

#include "app/commands.h"
#include "base/error.h"
#include "tools/compress/method.h"

namespace sluice::app {

struct CompressArguments {
  LoadFlags load_flags;
  std::string model;
  std::string models = "models";
  std::string version;
  std::string method;
  std::string calibration;
  std::string evaluate;
  std::string label;
  double max_drop = 0.01;
  std::string output;
  double seconds = 4;
  bool search = false;
  double budget = 120;
  std::string pick;
  bool json = false;
};

struct CompressOutcome {
  std::string text;   // for standard output
  bool kept = false;  // the version is right enough, and written where there was an --output
};

// Errors: kInvalidArgument/`usage`, those of the model, the tables, the methods and the disk;
// kCancelled when `stop` became true. Nothing is left behind then.
Result<CompressOutcome> run_compress(const CompressArguments& arguments,
                                     const std::atomic<bool>& stop);

}  // namespace sluice::app
