// One model that is compressed, with everything that candidates are held against: loaded, asked,
// measured once, and then compared with as many candidates as there are.
//
// Thread-safety: one owner.
#pragma once

#include <optional>
#include <string>

#include "app/compress_model.h"
#include "app/compress_run.h"
#include "tools/compress/answers.h"
#include "tools/compress/chain.h"
#include "tools/compress/report.h"

namespace sluice::app {

// Runs models through the engines of a stack.
class EngineLab final : public tools::compress::Lab {
 public:
  EngineLab(const Registry<Engine>& engines, bool allow_code)
      : engines_(engines), allow_code_(allow_code) {}
  Result<std::unique_ptr<Model>> load(const std::filesystem::path& file) const override;

 private:
  const Registry<Engine>& engines_;
  bool allow_code_;
};

class CompressTrial {
 public:
  static Result<CompressTrial> open(const CompressArguments& arguments,
                                    const std::atomic<bool>& stop);

  struct Candidate {
    tools::compress::Report report;
    std::filesystem::path file;
  };
  // Makes it, and holds it against the original.
  Result<Candidate> attempt(const tools::compress::Chain& chain);

  const FoundModel& original() const { return original_; }
  bool calibrated() const { return calibration_.has_value(); }
  // Measured with the first candidate.
  double original_p50() const { return original_p50_; }

 private:
  CompressTrial(const CompressArguments& arguments, const std::atomic<bool>& stop, Scratch scratch)
      : arguments_(arguments), stop_(stop), scratch_(std::move(scratch)) {}
  Result<void> prepare();
  Result<void> read_tables();
  Result<tools::compress::Report> held_against(const std::filesystem::path& file);
  void show(std::string_view what, double done) const;

  const CompressArguments& arguments_;
  const std::atomic<bool>& stop_;
  Scratch scratch_;
  FoundModel original_;
  OpenedModel opened_;
  std::string sha256_;
  std::optional<tools::compress::Dataset> evaluation_;
  std::optional<tools::compress::Dataset> calibration_;
  bool synthesised_ = false;
  tools::compress::Answers answers_;
  std::uint64_t memory_ = 0;
  double original_p50_ = 0;
};

}  // namespace sluice::app
