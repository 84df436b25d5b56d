#include "engines/graph.h"

#include <algorithm>

#include "base/option.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

std::string quoted(std::string_view name) { return "'" + printable(name) + "'"; }

std::string names_of(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  for (const auto& name : names) shown.push_back(quoted(name));
  return shown.empty() ? "nothing" : join_and(shown);
}

class Wiring {
 public:
  Wiring(const GraphDecl& decl, std::span<const Ports> ports, Problems& problems)
      : decl_(decl), ports_(ports), problems_(problems) {}

  std::optional<Graph> run() {
    const auto before = problems_.size();
    graph_.steps.resize(decl_.steps.size());
    unknown_ = std::ranges::any_of(ports_, &Ports::more_outputs) ||
               (decl_.inputs.empty() && reads_unsaid(0));
    for (std::size_t i = 0; i < decl_.steps.size(); ++i) name_outputs(i);
    name_inputs();
    const bool clear = problems_.size() == before;  // which step makes what
    for (std::size_t i = 0; i < decl_.steps.size(); ++i) connect(i);
    choose_outputs();
    if (clear) sort();
    // Only then: a misspelt name leaves what it means unread.
    if (problems_.size() == before) find_unused();
    if (problems_.size() > before) return std::nullopt;
    share_memory();
    return std::move(graph_);
  }

 private:
  std::string step_name(std::size_t i) const { return "step " + quoted(decl_.steps[i].name); }

  std::size_t find(std::string_view name) const {
    const auto found = std::ranges::find(graph_.tensors, name, &Graph::Tensor::name);
    return found == graph_.tensors.end() ? Graph::kNone
                                         : static_cast<std::size_t>(found - graph_.tensors.begin());
  }

  std::string maker_of(std::size_t tensor) const {
    const auto maker = graph_.tensors[tensor].maker;
    return maker == Graph::kNone ? "the pipeline's input" : step_name(maker);
  }

  // It does not say what it reads, and nobody else knows.
  bool reads_unsaid(std::size_t i) const {
    return ports_[i].more_inputs && !decl_.steps[i].inputs.given;
  }

  // What the ports of a map or a list are called; problems where they are not the step's.
  std::vector<std::string> named(std::size_t i, const PortMap& map,
                                 const std::vector<std::string>& ports, const char* word) {
    std::vector<std::string> out(ports.size());
    if (!map.by_name) {
      if (map.items.size() != ports.size()) {
        report(problems_, map.items.empty() ? decl_.steps[i].place : map.items[0].place,
               step_name(i) + " has the " + word + " " + names_of(ports) + ", but " +
                   std::to_string(map.items.size()) +
                   (map.items.size() == 1 ? " is listed" : " are listed"));
        return out;
      }
      for (std::size_t p = 0; p < ports.size(); ++p) out[p] = map.items[p].tensor;
      return out;
    }
    for (const auto& item : map.items) {
      const auto found = std::ranges::find(ports, item.port);
      if (found != ports.end()) {
        out[static_cast<std::size_t>(found - ports.begin())] = item.tensor;
        continue;
      }
      const std::vector<std::string_view> known(ports.begin(), ports.end());
      report(problems_, item.place,
             step_name(i) + " has no " + quoted(item.port) + " among its " + word +
                 did_you_mean(item.port, known) + "; they are " + names_of(ports));
    }
    return out;
  }

  // An output without a name is called as the step calls it; a step's only output `y` like the
  // step, since every step of our own calls it so.
  void name_outputs(std::size_t i) {
    const auto& step = decl_.steps[i];
    const auto& ports = ports_[i].outputs;
    std::vector<std::string> names(ports.size());
    if (step.outputs.given) names = named(i, step.outputs, ports, "outputs");
    for (std::size_t p = 0; p < ports.size(); ++p) {
      if (names[p].empty()) names[p] = ports.size() == 1 && ports[p] == "y" ? step.name : ports[p];
      const auto other = find(names[p]);
      if (other != Graph::kNone) {
        report(problems_, step.place,
               quoted(names[p]) + " is made twice: by " + maker_of(other) + " and by " +
                   step_name(i) + "; give one of them another name under outputs");
      }
      graph_.steps[i].outputs.push_back(add(names[p], i));
    }
  }

  std::size_t add(std::string name, std::size_t maker) {
    graph_.tensors.push_back({std::move(name), maker, {}});
    return graph_.tensors.size() - 1;
  }

  void name_inputs() {
    if (decl_.inputs.empty()) return take_over_inputs();
    for (const auto& input : decl_.inputs) {
      const auto other = find(input.name);
      if (other != Graph::kNone) {
        report(problems_, input.place,
               "input " + quoted(input.name) +
                   (graph_.tensors[other].maker == Graph::kNone
                        ? " is declared twice"
                        : " has the name of what " + maker_of(other) + " makes"));
      }
      graph_.inputs.push_back(add(input.name, Graph::kNone));
    }
  }

  // Without `inputs:`, what the first step reads and no step makes is what clients send. Of no
  // other step, so that a misspelt name is not taken for an input.
  void take_over_inputs() {
    const auto& step = decl_.steps[0];
    auto names = ports_[0].inputs;
    if (step.inputs.given) {
      names.clear();
      for (const auto& item : step.inputs.items) names.push_back(item.tensor);
    }
    for (const auto& name : names) {
      if (!name.empty() && find(name) == Graph::kNone) {
        graph_.inputs.push_back(add(name, Graph::kNone));
      }
    }
  }

  void connect(std::size_t i) {
    const auto& step = decl_.steps[i];
    const auto& ports = ports_[i].inputs;
    const auto before = problems_.size();
    const bool after_unknown =
        i == 0 ? decl_.inputs.empty() && unknown_ : ports_[i - 1].more_outputs;
    if (!step.inputs.given && (reads_unsaid(i) || after_unknown)) return read_all_before(i);
    const auto names =
        step.inputs.given ? named(i, step.inputs, ports, "inputs") : guessed_inputs(i);
    if (problems_.size() > before) return;
    for (std::size_t p = 0; p < ports.size(); ++p) {
      if (names[p].empty()) {
        report(problems_, step.place,
               step_name(i) + " needs an input for " + quoted(ports[p]) + "; it reads " +
                   names_of(ports));
        continue;
      }
      const auto tensor = find(names[p]);
      if (tensor != Graph::kNone) {
        read(i, tensor);
      } else if (!unknown_) {
        report(problems_, step.place, step_name(i) + " reads " + unknown(names[p]));
      }
    }
  }

  void read(std::size_t i, std::size_t tensor) {
    graph_.steps[i].inputs.push_back(tensor);
    graph_.tensors[tensor].readers.push_back(i);
  }

  void read_all_before(std::size_t i) {
    const auto before = i == 0 ? graph_.inputs : graph_.steps[i - 1].outputs;
    for (const auto tensor : before) read(i, tensor);
  }

  std::string unknown(const std::string& name) const {
    std::vector<std::string_view> known;
    for (const auto& tensor : graph_.tensors) known.push_back(tensor.name);
    return quoted(name) + ", which is no input and is made by no step" + did_you_mean(name, known);
  }

  // A step that does not say what it reads: what the one before it makes, where that is one tensor
  // for one input, or has the same names.
  std::vector<std::string> guessed_inputs(std::size_t i) {
    const auto& ports = ports_[i].inputs;
    const auto& before = i == 0 ? graph_.inputs : graph_.steps[i - 1].outputs;
    std::vector<std::string> made;
    for (const auto tensor : before) made.push_back(graph_.tensors[tensor].name);
    if (ports.size() == 1 && made.size() == 1) return made;
    for (const auto& port : ports) {
      if (std::ranges::count(made, port) > 0) continue;
      report(problems_, decl_.steps[i].place,
             step_name(i) + " must say what it reads as " + quoted(port) + ": " +
                 (i == 0 ? "the pipeline's inputs are " : "the step before it makes ") +
                 names_of(made) + "; write inputs: {" + printable(port) + ": …}");
      break;
    }
    return ports;
  }

  void choose_outputs() {
    if (decl_.outputs.empty()) {
      graph_.outputs = graph_.steps.back().outputs;
      return;
    }
    for (const auto& output : decl_.outputs) {
      const auto tensor = find(output.tensor);
      if (tensor == Graph::kNone && unknown_) continue;
      if (tensor == Graph::kNone) {
        report(problems_, output.place, "the pipeline's output is " + unknown(output.tensor));
      } else if (graph_.tensors[tensor].maker == Graph::kNone) {
        report(problems_, output.place,
               "the pipeline's output " + quoted(output.tensor) +
                   " is its own input; list what a step makes");
      }
      graph_.outputs.push_back(tensor);
    }
  }

  bool reads_from(std::size_t step, const std::vector<bool>& done, bool wanted) const {
    return std::ranges::any_of(graph_.steps[step].inputs, [&](const auto tensor) {
      const auto maker = graph_.tensors[tensor].maker;
      return maker != Graph::kNone && done[maker] == wanted;
    });
  }

  // Kahn's algorithm; among steps that may run, the one that was written first.
  void sort() {
    std::vector<bool> done(decl_.steps.size(), false);
    while (graph_.order.size() < done.size()) {
      std::size_t next = 0;
      while (next < done.size() && (done[next] || reads_from(next, done, false))) ++next;
      if (next == done.size()) return report_cycle(done);
      done[next] = true;
      graph_.order.push_back(next);
    }
  }

  // Each step that is left reads from another one that is left, so that going back ends in a
  // circle.
  void report_cycle(const std::vector<bool>& done) {
    auto at = static_cast<std::size_t>(std::ranges::find(done, false) - done.begin());
    std::vector<std::size_t> way;
    while (std::ranges::count(way, at) == 0) {
      way.push_back(at);
      for (const auto tensor : graph_.steps[at].inputs) {
        const auto maker = graph_.tensors[tensor].maker;
        if (maker == Graph::kNone || done[maker]) continue;
        at = maker;
        break;
      }
    }
    way.erase(way.begin(), std::ranges::find(way, at));
    std::ranges::reverse(way);
    // Said from the step on that was written first, whichever the search came upon.
    std::ranges::rotate(way, std::ranges::min_element(way));
    std::string circle;
    for (const auto step : way) circle += quoted(decl_.steps[step].name) + " → ";
    report(problems_, decl_.steps[way[0]].place,
           "the steps go round in a circle, so that none can be first: " + circle +
               quoted(decl_.steps[way[0]].name));
  }

  bool is_used(std::size_t tensor) const {
    return !graph_.tensors[tensor].readers.empty() ||
           std::ranges::count(graph_.outputs, tensor) > 0;
  }

  // A step or an input that nothing depends on is most likely a misspelt name, and would cost time
  // with every request.
  void find_unused() {
    for (std::size_t i = 0; i < graph_.steps.size(); ++i) {
      const auto& made = graph_.steps[i].outputs;
      if (ports_[i].more_outputs) continue;
      if (std::ranges::any_of(made, [&](const auto tensor) { return is_used(tensor); })) continue;
      report(problems_, decl_.steps[i].place,
             "nobody reads what " + step_name(i) +
                 " makes; remove the step, list its output under outputs, or look for a name that "
                 "is misspelt");
    }
    for (std::size_t i = 0; i < graph_.inputs.size(); ++i) {
      if (is_used(graph_.inputs[i])) continue;
      report(problems_, decl_.inputs.empty() ? decl_.place : decl_.inputs[i].place,
             "no step reads the input " + quoted(graph_.tensors[graph_.inputs[i]].name));
    }
  }

  void share_memory() {
    std::vector<std::size_t> turn(graph_.steps.size());
    for (std::size_t t = 0; t < graph_.order.size(); ++t) turn[graph_.order[t]] = t;
    std::vector<std::size_t> last_read;  // of each scratch memory, the turn
    for (std::size_t t = 0; t < graph_.order.size(); ++t) {
      auto& step = graph_.steps[graph_.order[t]];
      std::size_t until = t;
      bool answer = false;
      for (const auto tensor : step.outputs) {
        for (const auto reader : graph_.tensors[tensor].readers) {
          until = std::max(until, turn[reader]);
        }
        answer = answer || std::ranges::count(graph_.outputs, tensor) > 0;
      }
      if (answer) continue;
      // Its own inputs are still read at this turn.
      const auto free = std::ranges::find_if(last_read, [&](auto last) { return last < t; });
      step.scratch = static_cast<std::size_t>(free - last_read.begin());
      if (free == last_read.end()) {
        last_read.push_back(until);
      } else {
        *free = until;
      }
    }
    graph_.scratches = last_read.size();
  }

  const GraphDecl& decl_;
  const std::span<const Ports> ports_;
  Problems& problems_;
  bool unknown_ = false;  // there may be tensors of other names
  Graph graph_;
};

}  // namespace

std::optional<Graph> wire(const GraphDecl& decl, std::span<const Ports> ports, Problems& problems) {
  return Wiring(decl, ports, problems).run();
}

}  // namespace sluice::engines
