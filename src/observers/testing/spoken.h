// A version that is only spoken of, for tests of what looks at requests.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/servable.h"

namespace sluice::observers::testing {

class Nothing final : public Model {
 public:
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView>, std::span<TensorView>, Arena&) const override {
    return {};
  }
  std::string_view platform() const override { return "none"; }
  std::vector<Fact> facts() const override { return {}; }
  std::uint64_t parameters() const override { return 0; }

 private:
  Signature signature_;
};

// A version that is only spoken of.
class Spoken final : public Servable {
 public:
  explicit Spoken(double sample = 1) { logging_.sample = sample; }
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return loaded_.signature(); }
  bool run(RequestPtr&) const override { return true; }
  Result<void> warm_up() const override { return {}; }
  const Model& loaded() const override { return loaded_; }
  Tally& tally() const override { return tally_; }
  const LogOptions& logging() const override { return logging_; }

 private:
  const ModelName model_ = *ModelName::parse("fraud");
  const VersionName version_ = *VersionName::parse("v2");
  const Nothing loaded_;
  LogOptions logging_;
  mutable Tally tally_;
};

}  // namespace sluice::observers::testing
