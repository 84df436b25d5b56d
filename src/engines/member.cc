#include "engines/member.h"

#include <algorithm>

#include "base/text.h"

namespace sluice::engines {
namespace {

std::string show(const TensorSpec& spec) {
  return std::string(name_of(spec.dtype)) + " " + show_shape(spec.dims);
}

// What to do where types differ; of texts a step makes numbers.
std::string other_type(const TensorSpec& given, const TensorSpec& wanted) {
  const bool texts = given.dtype == DType::kString || wanted.dtype == DType::kString;
  if (given.dtype == wanted.dtype || texts) return {};
  const std::string type(name_of(wanted.dtype));
  return "; put a step `cast: " + type + "` between them, or declare the pipeline's input as " +
         type;
}

class MemberStep final : public Step {
 public:
  MemberStep(std::unique_ptr<Model> model, std::string description)
      : model_(std::move(model)), description_(std::move(description)) {}

  std::vector<std::string> inputs() const override { return names(signature().inputs); }
  std::vector<std::string> outputs() const override { return names(signature().outputs); }

  std::optional<Edge> expects(std::size_t input) const override {
    Edge out;
    out.spec = signature().inputs[input];
    if (signature().inputs.size() == 1) out.columns = signature().columns;
    return out;
  }

  Result<std::vector<Edge>> bind(std::span<const Edge> inputs) override {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      SLUICE_CHECK(compare(inputs[i].spec, signature().inputs[i]));
    }
    std::vector<Edge> out;
    for (const auto& spec : signature().outputs) {
      Edge edge;
      edge.spec = spec;
      // By the name that the model gives it: the pipeline's may say something else.
      if (spec.role == Role::kUnknown) edge.spec.role = role_by_name(spec);
      const bool about_classes = edge.spec.role == Role::kLabel ||
                                 edge.spec.role == Role::kProbabilities ||
                                 edge.spec.role == Role::kLogits;
      if (about_classes) edge.classes = &signature();
      out.push_back(std::move(edge));
    }
    return out;
  }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    // Dimensions that were not known when the pipeline was loaded are known now.
    if (loose_) SLUICE_CHECK(check_inputs(signature(), inputs, false));
    return model_->run(inputs, outputs, arena);
  }

  bool rows_apart() const override { return signature().batchable(); }
  const Model* model() const override { return model_.get(); }
  std::string describe() const override { return description_; }

 private:
  const Signature& signature() const { return model_->signature(); }

  static std::vector<std::string> names(const std::vector<TensorSpec>& specs) {
    std::vector<std::string> out;
    for (const auto& spec : specs) out.push_back(spec.name);
    return out;
  }

  // `given` may know less than `wanted`; a model for one row at a time gets one row at a time.
  Result<void> compare(const TensorSpec& given, const TensorSpec& wanted) {
    bool fits = given.dtype == wanted.dtype && given.dims.size() == wanted.dims.size();
    for (std::size_t i = 0; fits && i < given.dims.size(); ++i) {
      const auto have = given.dims[i];
      const auto want = wanted.dims[i];
      if (want == -1 || have == want) continue;
      fits = have == -1 && (i > 0 || want == 1);
      loose_ = true;
    }
    if (fits) return {};
    return invalid("bad_model", "its input '" + printable(wanted.name) + "' is " + show(wanted) +
                                    ", but '" + printable(given.name) + "' is " + show(given) +
                                    other_type(given, wanted));
  }

  const std::unique_ptr<Model> model_;
  const std::string description_;
  bool loose_ = false;
};

using Choice = std::pair<std::string, const Engine*>;

Result<Choice> choose_engine(const MemberFile& member, const ModelFile& file,
                             const MemberEngines& engines) {
  std::vector<std::string> names;
  for (const auto& [name, engine] : engines) {
    names.push_back(name);
    const bool chosen = member.engine.empty() ? engine->accepts(file) : name == member.engine;
    if (chosen) return Choice{name, engine.get()};
  }
  if (!member.engine.empty()) {
    return invalid("bad_model", "there is no engine '" + printable(member.engine) +
                                    "' for steps; this build has " + join_and(names));
  }
  if (file.name.ends_with(".yaml")) {
    return invalid("bad_model", "'" + printable(file.name) +
                                    "' is a pipeline itself; write its steps into this one");
  }
  return invalid("bad_model", "no engine knows this kind of file: '" + printable(file.name) + "'");
}

}  // namespace

Result<std::unique_ptr<Step>> load_member(const MemberFile& member, const MemberEngines& engines,
                                          const LoadOptions& options) {
  ModelFile file;
  file.name = member.name.substr(member.name.rfind('/') + 1);  // npos + 1 is 0
  SLUICE_TRY(file.contents, open_step_file(member.directory, member.name, SIZE_MAX));
  file.directory = member.directory;
  SLUICE_TRY(const auto choice, choose_engine(member, file, engines));
  if (choice.second->runs_code() && !options.allow_code) {
    return invalid("not_allowed",
                   "'" + printable(member.name) +
                       "' is a program: whoever made it decides what this server does when it is "
                       "loaded. If you trust it, start with --allow-pickle, or set allow_pickle: "
                       "true in model.yaml; else export the model to ONNX");
  }
  SLUICE_TRY(auto model, choice.second->load(file, options));
  const auto description = printable(member.name) + " by " + choice.first + ", " +
                           human_bytes(file.contents.bytes().size());
  return std::make_unique<MemberStep>(std::move(model), description);
}

}  // namespace sluice::engines
