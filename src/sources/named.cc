#include "sources/named.h"

namespace sluice::sources {
namespace {

class Named final : public Source {
 public:
  Named(std::unique_ptr<Source> source, ModelName name)
      : source_(std::move(source)), name_(std::move(name)) {}

  Result<std::vector<WantedModel>> list() override {
    SLUICE_TRY(auto models, source_->list());
    if (models.size() > 1) {
      return invalid("many_models", "there are " + std::to_string(models.size()) +
                                        " models, and model_name is the name of one; expected one "
                                        "model, or no model_name");
    }
    for (auto& model : models) model.name = name_;
    return models;
  }

  Result<ModelFile> open(const WantedVersion& version) override { return source_->open(version); }
  Result<std::optional<ModelFile>> open_near(const WantedVersion& version) override {
    return source_->open_near(version);
  }
  Result<ModelFile> open_far(const WantedVersion& version,
                             const std::atomic<bool>& abandoned) override {
    return source_->open_far(version, abandoned);
  }

  void watch(const std::function<void()>& changed) override { source_->watch(changed); }

 private:
  const std::unique_ptr<Source> source_;
  const ModelName name_;
};

}  // namespace

std::unique_ptr<Source> make_named(std::unique_ptr<Source> source, ModelName name) {
  return std::make_unique<Named>(std::move(source), std::move(name));
}

}  // namespace sluice::sources
