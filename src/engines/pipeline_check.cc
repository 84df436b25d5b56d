#include "engines/pipeline_check.h"

#include "base/option.h"
#include "base/text.h"
#include "engines/graph.h"
#include "engines/step_making.h"
#include "engines/steps/builtin.h"

namespace sluice::engines {
namespace {

// The names that are written down: in a list all of them, in a mapping those that it mentions.
std::vector<std::string> names_said(const PortMap& map) {
  std::vector<std::string> out;
  for (const auto& item : map.items) out.push_back(item.port);
  return out;
}

// Of a step whose file is not looked into.
Ports ports_said(const StepDecl& step) {
  Ports out;
  out.inputs = names_said(step.inputs);
  out.outputs = names_said(step.outputs);
  out.more_inputs = !step.inputs.given || step.inputs.by_name;
  out.more_outputs = !step.outputs.given || step.outputs.by_name;
  return out;
}

void check_member(const StepDecl& step, const std::shared_ptr<const Fd>& directory,
                  Problems& problems) {
  const auto found = find_step_file(directory, step.options.scalar);
  if (found) return;
  report(problems, step.place, "step '" + printable(step.name) + "': " + found.error().message);
}

}  // namespace

void check_pipeline(const Node& pipeline, const std::shared_ptr<const Fd>& directory,
                    Problems& problems) {
  StepKinds kinds;
  register_steps(kinds);
  const auto before = problems.size();
  const auto decl = read_graph(pipeline, kinds.names(), problems);
  const bool readable = problems.size() == before;
  std::vector<Ports> ports;
  for (const auto& step : decl.steps) {
    ports.push_back(ports_said(step));
    if (step.kind == "model") {
      if (readable) check_member(step, directory, problems);
    } else if (!step.kind.empty()) {
      const auto made = make_step(kinds, step, directory, problems);
      if (made && *made) ports.back() = {(*made)->inputs(), (*made)->outputs()};
    }
  }
  if (readable && !ports.empty()) wire(decl, ports, problems);
}

}  // namespace sluice::engines
