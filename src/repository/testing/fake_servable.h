// What the tests of the roster put into it.
#pragma once

#include <cstdlib>
#include <string>

#include "core/servable.h"
#include "core/source.h"
#include "repository/roster.h"

namespace sluice::repository::testing {

inline ModelName model_name(const std::string& text) { return *ModelName::parse(text); }
inline VersionName version_name(const std::string& text) { return *VersionName::parse(text); }

// Has a tally, and nothing else that anybody here asks for.
class FakeServable final : public Servable {
 public:
  explicit FakeServable(const std::string& version = "1") : version_(version_name(version)) {}
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  bool run(RequestPtr&) const override { return true; }
  Result<void> warm_up() const override { return {}; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { return tally_; }

 private:
  const ModelName model_ = model_name("m");
  const VersionName version_;
  const Signature signature_;
  mutable Tally tally_;
};

inline WantedVersion wanted(const std::string& version) {
  return {version_name(version), {}, {}, "f1", {}, {}};
}

inline ModelSlot model_slot(const std::string& name) {
  return {{model_name(name), {}, {}, {}, {}, {}}, {}, {}, true, false, false, {}};
}

}  // namespace sluice::repository::testing
