// A way to make a model smaller or faster. To add one: `tools/compress/<name>.cc` with a subclass
// of Method, and a line in each of `builtin.h` and `builtin.cc` beside it.
//
// Thread-safety: methods have no state; a Lab may be used by one thread at a time.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/document.h"
#include "base/option.h"
#include "core/engine.h"
#include "tools/compress/dataset.h"

namespace sluice::tools::compress {

// Runs models that are being worked on.
class Lab {
 public:
  virtual ~Lab() = default;
  // A model file alone, whatever its model.yaml says. Errors: the engine's.
  virtual Result<std::unique_ptr<Model>> load(const std::filesystem::path& file) const = 0;
};

struct Task {
  std::filesystem::path from;  // the model's file: model.onnx, model.json, model.ubj
  std::filesystem::path to;    // an empty folder of its own for what is made
  const Node& settings;        // a map, or null: the defaults
  const Dataset* calibration;  // null: none was given
  const Lab& lab;
  const std::atomic<bool>& stop;
  // What is being done, for people; called often.
  std::function<void(std::string_view what, double done)> progress;
};

struct Made {
  std::filesystem::path file;      // in Task::to
  std::vector<std::string> notes;  // sentences for the report: what was left alone, and why
  // What the report shows beside: {"settings": …, "layers": [{"name", "op", "error", …}], …}
  nlohmann::json details = nlohmann::json::object();
};

class Method {
 public:
  virtual ~Method() = default;
  virtual std::string_view name() const = 0;  // "dynamic-int8"
  virtual std::string_view help() const = 0;  // one sentence
  // File name endings that it takes, with the dot.
  virtual std::vector<std::string_view> takes() const { return {".onnx"}; }
  virtual std::vector<OptionInfo> settings() const = 0;
  // Errors: kInvalidArgument/`bad_settings`.
  virtual Result<void> check(const Node& settings) const = 0;
  virtual bool needs_calibration() const { return false; }
  // Settings that a search tries, each as "key=value,key=value"; "" is the defaults.
  virtual std::vector<std::string> variants() const { return {""}; }
  // Errors: kInvalidArgument/`bad_settings`; `not_compressible` with why and what to do, where this
  // model has nothing for the method (quantised already, opset too old); `no_calibration`; the
  // lab's; kUnavailable/`unwritable`; kCancelled when `stop` became true.
  virtual Result<Made> make(const Task& task) const = 0;
};

// Reads a method's settings by its schema; `S` has a `schema()`.
template <class S>
Result<S> read_settings(const Node& node) {
  S out;
  Problems problems;
  S::schema().read(node, out, problems);
  if (problems.empty()) return out;
  std::string all;
  for (const auto& problem : problems) all += (all.empty() ? "" : "; ") + problem.message;
  return invalid("bad_settings", all);
}

template <class S>
Result<void> check_settings(const Node& node) {
  SLUICE_CHECK(read_settings<S>(node));
  return {};
}

// All that there are, in the order of the help.
const std::vector<std::unique_ptr<const Method>>& methods();
// Errors: kInvalidArgument/`unknown_method`, with those that there are.
Result<const Method*> find_method(std::string_view name);

}  // namespace sluice::tools::compress
