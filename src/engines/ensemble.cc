#include "engines/ensemble.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "config/yaml.h"
#include "engines/graph_shapes.h"
#include "engines/step_making.h"
#include "engines/steps/builtin.h"

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxYaml = std::size_t{1} << 20;
constexpr std::size_t kMostProblems = 5;  // shown of a pipeline
constexpr std::string_view kModelYaml = "model.yaml";

// Memory of intermediate tensors. The two that a chain takes cost no allocation.
class Scratch {
 public:
  explicit Scratch(std::size_t count) {
    if (count > near_.size()) far_ = std::make_unique<Arena[]>(count - near_.size());
  }
  Arena& operator[](std::size_t i) { return i < near_.size() ? near_[i] : far_[i - near_.size()]; }

 private:
  std::array<Arena, 2> near_;
  std::unique_ptr<Arena[]> far_;
};

class EnsembleModel final : public Model {
 public:
  EnsembleModel(GraphDecl decl, Graph graph, Steps steps, std::vector<Edge> edges)
      : decl_(std::move(decl)),
        graph_(std::move(graph)),
        steps_(std::move(steps)),
        edges_(std::move(edges)),
        signature_(signature_of(graph_, steps_, edges_)) {}

  const Signature& signature() const override { return signature_; }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto tensors = arena.array<TensorView>(graph_.tensors.size());
    std::ranges::fill(tensors, TensorView());
    for (std::size_t i = 0; i < inputs.size(); ++i) tensors[graph_.inputs[i]] = inputs[i];
    std::optional<std::int64_t> rows;
    if (signature_.batchable()) rows = inputs[0].shape[0];
    Scratch scratch(graph_.scratches);
    for (const auto i : graph_.order) {
      const auto own = graph_.steps[i].scratch;
      if (own != Graph::kNone) scratch[own].reset();
      auto ran = run_step(i, rows, tensors, own == Graph::kNone ? arena : scratch[own]);
      if (ran) continue;
      auto& message = ran.error().message;
      message = "step '" + printable(decl_.steps[i].name) + "': " + message;
      return ran;
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) outputs[i] = tensors[graph_.outputs[i]];
    return {};
  }

  std::string_view platform() const override { return "ensemble"; }

  bool thread_safe() const override {
    return std::ranges::all_of(steps_, [](const auto& step) {
      return step->model() == nullptr || step->model()->thread_safe();
    });
  }

  bool answers_from_afar() const override {
    return std::ranges::any_of(steps_, [](const auto& step) {
      return step->model() != nullptr && step->model()->answers_from_afar();
    });
  }

  std::vector<Fact> facts() const override {
    std::vector<Fact> out = {{"steps", std::to_string(steps_.size())}};
    for (std::size_t i = 0; i < graph_.order.size(); ++i) {
      const auto step = graph_.order[i];
      out.push_back({"step " + std::to_string(i + 1),
                     decl_.steps[step].name + ": " + steps_[step]->describe()});
    }
    return out;
  }

  std::uint64_t parameters() const override {
    return sum([](const Model& model) { return model.parameters(); });
  }
  std::uint64_t bytes_elsewhere() const override {
    return sum([](const Model& model) { return model.bytes_elsewhere(); });
  }

 private:
  // `rows`: of the request, where each step keeps them.
  Result<void> run_step(std::size_t i, std::optional<std::int64_t> rows,
                        std::span<TensorView> tensors, Arena& arena) const {
    const auto& wires = graph_.steps[i];
    const auto inputs = arena.array<TensorView>(wires.inputs.size());
    for (std::size_t p = 0; p < inputs.size(); ++p) inputs[p] = tensors[wires.inputs[p]];
    const auto outputs = arena.array<TensorView>(wires.outputs.size());
    std::ranges::fill(outputs, TensorView());
    SLUICE_CHECK(steps_[i]->run(inputs, outputs, arena));
    for (std::size_t p = 0; p < outputs.size(); ++p) {
      const auto& spec = edges_[wires.outputs[p]].spec;
      bool fits = outputs[p].dtype == spec.dtype && spec.fits(outputs[p].shape);
      // Rows are those of the request, or some client would be given another one's answer.
      if (fits && rows && spec.dims[0] == -1) fits = outputs[p].shape[0] == *rows;
      if (!fits) {
        return internal("it made '" + spec.name + "' with shape " +
                        show_shape(outputs[p].shape.dims()) + ", where " + show_shape(spec.dims) +
                        " was announced" +
                        (rows ? " and there are " + std::to_string(*rows) + " rows" : ""));
      }
      tensors[wires.outputs[p]] = outputs[p];
    }
    return {};
  }

  template <class F>
  std::uint64_t sum(F&& of) const {
    std::uint64_t out = 0;
    for (const auto& step : steps_) out += step->model() == nullptr ? 0 : of(*step->model());
    return out;
  }

  const GraphDecl decl_;
  const Graph graph_;
  const Steps steps_;
  const std::vector<Edge> edges_;
  const Signature signature_;
};

class EnsembleEngine final : public Engine {
 public:
  explicit EnsembleEngine(MemberEngines members) : members_(std::move(members)) {
    register_steps(kinds_);
  }

  bool accepts(const ModelFile& file) const override {
    const std::string_view name = file.name;
    return name == "ensemble.yaml" || name == kModelYaml || name.ends_with(".ensemble.yaml");
  }
  // `ensemble.yaml` itself is no ending; the layout of repositories knows it.
  std::vector<std::string_view> extensions() const override { return {".ensemble.yaml"}; }

  Result<std::unique_ptr<Model>> load(const ModelFile& file,
                                      const LoadOptions& options) const override {
    Problems problems;
    auto model = build(file, options, problems);
    if (!problems.empty()) return told(file, problems);
    return model;
  }

 private:
  static Failure told(const ModelFile& file, const Problems& problems) {
    std::string out;
    for (std::size_t i = 0; i < std::min(problems.size(), kMostProblems); ++i) {
      out += (i > 0 ? "; " : "") + config::show_problem(printable(file.name), problems[i]);
    }
    if (problems.size() > kMostProblems) {
      out += "; and " + std::to_string(problems.size() - kMostProblems) + " more";
    }
    return invalid("bad_model", out);
  }

  // Null where problems have been told.
  Result<std::unique_ptr<Model>> build(const ModelFile& file, const LoadOptions& options,
                                       Problems& problems) const {
    if (file.contents.bytes().size() > kMaxYaml) {
      return invalid("bad_model", "the pipeline has " + human_bytes(file.contents.bytes().size()) +
                                      "; at most 1 MB is read");
    }
    const auto root = config::parse_yaml(std::string(file.contents.text()), problems);
    if (!root) return nullptr;
    const Node* pipeline = file.name == kModelYaml ? root->find("ensemble") : &*root;
    if (pipeline == nullptr) return invalid("bad_model", "model.yaml has no `ensemble`");
    auto decl = read_graph(*pipeline, kinds_.names(), problems);
    if (!problems.empty()) return nullptr;
    SLUICE_TRY(auto steps, make_steps(decl, file, options, problems));
    if (!problems.empty()) return nullptr;
    std::vector<Ports> ports;
    for (const auto& step : steps) ports.push_back({step->inputs(), step->outputs()});
    auto graph = wire(decl, ports, problems);
    if (!graph) return nullptr;
    auto edges = settle(decl, *graph, steps, problems);
    if (!problems.empty()) return nullptr;
    return std::make_unique<EnsembleModel>(std::move(decl), std::move(*graph), std::move(steps),
                                           std::move(edges));
  }

  Result<Steps> make_steps(const GraphDecl& decl, const ModelFile& file, const LoadOptions& options,
                           Problems& problems) const {
    Steps out;
    for (const auto& step : decl.steps) {
      auto made =
          step.kind == "model"
              ? load_member({step.options.scalar, step.engine, file.directory}, members_, options)
              : make_step(kinds_, step, file.directory, problems);
      if (!made) {
        const Problem problem{step.place,
                              "step '" + printable(step.name) + "': " + made.error().message};
        made.error().message = config::show_problem(printable(file.name), problem);
        return Failure(std::move(made).error());
      }
      out.push_back(std::move(*made));
    }
    return out;
  }

  const MemberEngines members_;
  StepKinds kinds_;
};

}  // namespace

std::shared_ptr<const Engine> make_ensemble(MemberEngines members) {
  return std::make_shared<EnsembleEngine>(std::move(members));
}

}  // namespace sluice::engines
