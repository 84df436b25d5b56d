// One loaded ONNX model. Internal to the ONNX engine.
//
// Thread-safety: `run` from any number of threads; ONNX Runtime's sessions allow it.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <memory>
#include <string>
#include <vector>

#include "core/engine.h"
#include "engines/onnx_in_place.h"
#include "engines/onnx_scan.h"
#include "engines/onnx_sessions.h"
#include "engines/onnx_weights.h"

namespace sluice::engines {

// To sessions that are made of the rest of a model. ONNX Runtime copies the weights from where they
// lie while it makes a session, and wants them no longer than that.
void hand_over(Ort::SessionOptions& options, const std::vector<OnnxWeight>& weights);

class OnnxModel final : public Model {
 public:
  OnnxModel(std::shared_ptr<Ort::Env> env, std::vector<Ort::Session> sessions, OnnxFacts facts,
            std::shared_ptr<WeightsInPlace> in_place = nullptr);
  ~OnnxModel() override {
    if (in_place_) in_place_->close();
  }

  // Reads inputs and outputs from the session. Errors: types that are not tensors.
  Result<void> describe();

  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override;
  std::string_view platform() const override { return "onnxruntime_onnx"; }
  std::vector<Fact> facts() const override;
  std::uint64_t parameters() const override { return facts_.parameters; }
  std::uint64_t bytes_in_place() const override { return in_place_ ? in_place_->bytes() : 0; }

 private:
  struct OutputKind {
    bool is_map_sequence = false;  // ZipMap: one map from class to probability a row
    bool string_keys = false;
    bool preallocate = false;  // its shape follows from the number of rows
  };

  Result<TensorSpec> describe_value(const Ort::TypeInfo& type, std::string name,
                                    OutputKind* output) const;
  void learn_output_shapes();
  // What outputs are written into: kDirty has something in it that is no answer.
  enum class Memory : bool { kAsItComes, kDirty };
  Result<void> run_on(Memory memory, std::span<const TensorView> inputs,
                      std::span<TensorView> outputs, Arena& arena) const;

  std::shared_ptr<Ort::Env> env_;  // outlives the sessions, as does what comes next
  std::shared_ptr<WeightsInPlace> in_place_;
  OnnxSessions sessions_;
  Ort::MemoryInfo memory_;
  OnnxFacts facts_;
  Signature signature_;
  std::vector<OutputKind> kinds_;
  std::vector<const char*> input_names_;  // into signature_
  std::vector<const char*> output_names_;
};

}  // namespace sluice::engines
