// A way to run models. One Engine per library; it loads files into immutable Models.
//
// To add one: write `engines/<name>.cc` with a subclass of Engine and a header that makes one, and
// add one line to `engines/builtin.cc`: of two engines that accept a file the one that was added
// first has it. The conformance suite (engines/conformance_test.cc) then runs on it.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/option.h"
#include "core/signature.h"
#include "core/tensor.h"

namespace sluice {

// A line of `sluice inspect`: opset, producer, trees …
struct Fact {
  std::string name;
  std::string value;
};

// What each feature adds to a model's answer, exactly, by a method of the library's own.
struct Attributions {
  std::string_view method;  // "tree_shap"; always a literal
  std::size_t rows = 0;
  std::size_t groups = 0;  // one for each class, or one
  std::size_t features = 0;
  std::span<const double> values;  // [rows][groups][features]
  std::span<const double> base;    // [groups]: base + a row's values is its margin
};

// One loaded version.
//
// Thread-safety: `run` may be called from any number of threads at once unless `thread_safe()` is
// false; then one thread at a time runs it.
class Model {
 public:
  virtual ~Model() = default;

  virtual const Signature& signature() const = 0;

  // `inputs` are in signature order and fit it. `outputs` has one element per output of the
  // signature, whose dtype, shape and data are set; the memory lies in `arena` and lives as long as
  // it. Of a signature that is batchable, the first dimension of every output is that of the
  // inputs, and a row's answer depends on that row alone: requests are put together. Errors:
  // kInternal/`engine_failed` when the library refuses. Throws nothing but bad_alloc.
  virtual Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                           Arena& arena) const = 0;

  // The library can say what each feature adds: `explain` may be called.
  virtual bool explains() const { return false; }
  // Exact Shapley values of the margins: the numbers that the model adds up before it makes them
  // probabilities, counts or a label. `inputs` as for `run`; the memory lies in `arena`. It may
  // take a thousand times as long as `run`, so no thread that others wait for calls it. Errors:
  // kUnimplemented where `explains` is false; kInvalidArgument/`not_explainable` for rows that the
  // library does not take; kInternal. Thread-safety: that of `run`.
  virtual Result<Attributions> explain(std::span<const TensorView> /*inputs*/,
                                       Arena& /*arena*/) const {
    return fail(Code::kUnimplemented, "not_explainable",
                "this kind of model has no exact explanations of its own");
  }

  // What clients of the Open Inference Protocol call this kind of model: "onnxruntime_onnx".
  virtual std::string_view platform() const = 0;
  virtual bool thread_safe() const { return true; }
  // Another process answers, and may be slow to: no thread that others wait for runs it.
  virtual bool answers_from_afar() const { return false; }
  // At least one.
  virtual std::vector<Fact> facts() const = 0;
  // Learned numbers, and 0 where that is not known.
  virtual std::uint64_t parameters() const = 0;
  // Memory that it takes in other processes; 0 where it has none.
  virtual std::uint64_t bytes_elsewhere() const { return 0; }
  // What it used of files where they lie when it was loaded, and copies later.
  virtual std::uint64_t bytes_in_place() const { return 0; }
};

// What is loaded: the file's bytes and the directory that it may refer to.
struct ModelFile {
  std::string name;  // "model.onnx"; no directory in it
  FileBytes contents;
  std::shared_ptr<const Fd> directory;
};

// For models that live in processes of their own.
struct ProcessLimits {
  std::uint64_t memory = std::uint64_t{4} << 30;  // bytes of each that are its own
  Millis load_limit{60'000};                      // of processor time, and ten times by the clock
  Millis run_limit{60'000};
};

struct LoadOptions {
  int threads = 1;   // per execution
  int parallel = 1;  // threads that will run it at the same time: a hint
  // The user allows files that are programs. Asked by engines that load others of them; for the
  // rest, whoever calls `load` has looked at `runs_code`.
  bool allow_code = false;
  // A trial: this process ends soon, and whoever it was loaded for does not live longer. What can
  // be used where it lies in a file is not copied.
  bool trial = false;
  ProcessLimits process;
  std::string name;  // of the version, in the log
  // Nobody wants it any more: a load that can be broken off is. Null: that does not happen.
  const std::atomic<bool>* abandoned = nullptr;
};

// Thread-safety: all functions may be called from any thread.
class Engine {
 public:
  virtual ~Engine() = default;

  // True when the file looks like this engine's, by name and first bytes.
  virtual bool accepts(const ModelFile& file) const = 0;
  // File name endings, with the dot, that repositories look for.
  virtual std::vector<std::string_view> extensions() const = 0;
  // Loading such a file runs whatever program it holds: only done where the user allows it.
  virtual bool runs_code() const { return false; }
  // Its models live in processes of their own, so that no trial is needed to protect this one.
  virtual bool isolated() const { return false; }
  // Errors: kInvalidArgument/`bad_model` with one sentence that shows no path.
  virtual Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                              const LoadOptions& options) const = 0;
};

}  // namespace sluice
