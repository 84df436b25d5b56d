#include "engines/step_making.h"

#include "base/option.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

// `threshold: 0.5` as `threshold: {at: 0.5}`.
Node whole_options(const StepKind& kind, const Node& written) {
  const auto main = kind.main_option();
  const bool brief = written.kind == Node::Kind::kScalar || written.kind == Node::Kind::kList;
  if (!brief || main.empty()) return written;
  Node out;
  out.kind = Node::Kind::kMap;
  out.place = written.place;
  out.entries.push_back({std::string(main), written.place, written});
  return out;
}

}  // namespace

Result<std::unique_ptr<Step>> make_step(const StepKinds& kinds, const StepDecl& step,
                                        const std::shared_ptr<const Fd>& directory,
                                        Problems& problems) {
  const StepKind* kind = kinds.find(step.kind);
  const auto options = whole_options(*kind, step.options);
  const auto before = problems.size();
  auto made = kind->make({options, step.place, step.inputs.items.size(), directory}, problems);
  if (!made && made.error().code == Code::kUnavailable) return made;
  if (!made) report(problems, step.place, made.error().message);
  for (std::size_t i = before; i < problems.size(); ++i) {
    problems[i].message = "step '" + printable(step.name) + "': " + problems[i].message;
  }
  if (problems.size() > before) return nullptr;
  return made;
}

}  // namespace sluice::engines
