#include "engines/graph_decl.h"

#include <algorithm>
#include <set>

#include "base/option.h"
#include "base/text.h"

namespace sluice {

SLUICE_OPTION_TYPE(DType)

std::string OptionType<DType>::name() { return "type such as FP32, INT64 or BYTES"; }
std::string OptionType<DType>::show(const DType& value) { return std::string(name_of(value)); }
void OptionType<DType>::read(const Node& node, DType& value, Problems& problems) {
  if (!expect_scalar(node, "a " + name(), problems)) return;
  const auto found = dtype_named(node.scalar);
  if (found) {
    value = *found;
  } else {
    report(problems, node.place, "'" + printable(node.scalar) + "' is no " + name());
  }
}

}  // namespace sluice

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxSteps = 256;
constexpr std::size_t kMaxName = 256;

std::optional<std::string> good_name(const std::string& name) {
  if (name.empty()) return "a name is missing";
  if (name.size() > kMaxName) return "the name is longer than 256 bytes";
  // Names are shown in messages and sent to clients.
  const auto control = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (!is_utf8(name) || std::ranges::any_of(name, control)) {
    return "the name has characters that cannot be shown";
  }
  return std::nullopt;
}

std::optional<std::string> good_shape(const std::optional<std::vector<std::int64_t>>& shape) {
  if (!shape) return std::nullopt;
  if (shape->empty() || shape->size() > Shape::kMaxRank) {
    return "a shape has 1 to 16 dimensions, such as [-1, 30]";
  }
  const bool good = std::ranges::all_of(*shape, [](auto dim) { return dim == -1 || dim >= 1; });
  if (good) return std::nullopt;
  return "a dimension is a number of at least 1, or -1 for any";
}

std::optional<std::string> first_twice(std::vector<std::string> names) {
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  return twice == names.end() ? std::nullopt : std::optional(*twice);
}

const Schema<InputDecl>& input_schema() {
  static const auto kSchema =
      Schema<InputDecl>()
          .option("name", &InputDecl::name, "what clients and steps call it", {good_name})
          .option("type", &InputDecl::type, "its type; else that of the step that reads it")
          .option("shape", &InputDecl::shape, "its dimensions, -1 for any; the first are the rows",
                  {good_shape})
          .option("columns", &InputDecl::columns, "names of its columns");
  return kSchema;
}

std::string read_name(const Node& node, Problems& problems) {
  std::string out;
  const auto before = problems.size();
  OptionType<std::string>::read(node, out, problems);
  if (problems.size() > before) return out;
  if (const auto wrong = good_name(out)) report(problems, node.place, *wrong);
  return out;
}

std::vector<InputDecl> read_inputs(const Node& node, Problems& problems) {
  std::vector<InputDecl> out;
  if (!expect_kind(node, Node::Kind::kList, "a list of inputs", problems)) return out;
  for (const auto& item : node.items) {
    auto& input = out.emplace_back();
    if (item.kind == Node::Kind::kScalar) {
      input.name = read_name(item, problems);
    } else {
      const auto before = problems.size();
      input_schema().read(item, input, problems);
      if (input.name.empty() && problems.size() == before) {
        report(problems, item.place, "an input needs a name");
      }
    }
    input.place = item.place;
    if (const auto twice = first_twice(input.columns)) {
      report(problems, item.place,
             "input '" + printable(input.name) + "' has two columns '" + printable(*twice) + "'");
    }
    const auto width = static_cast<std::int64_t>(input.columns.size());
    if (width == 0) continue;
    if (!input.shape) input.shape = {-1, width};
    if (input.shape->size() != 2 || input.shape->back() != width) {
      report(problems, item.place,
             "input '" + printable(input.name) + "' has names for " + std::to_string(width) +
                 " columns, but its shape is " + show_shape(*input.shape));
    }
  }
  return out;
}

PortMap read_ports(const Node& node, Problems& problems) {
  PortMap out;
  out.given = node.kind != Node::Kind::kNull;
  if (node.kind == Node::Kind::kMap) {
    out.by_name = true;
    for (const auto& entry : node.entries) {
      const bool twice =
          std::ranges::any_of(out.items, [&](const auto& one) { return one.port == entry.key; });
      if (twice) report(problems, entry.place, "key '" + entry.key + "' is given twice");
      out.items.push_back({entry.key, read_name(entry.value, problems), entry.place});
    }
  } else if (node.kind == Node::Kind::kList) {
    for (const auto& item : node.items) {
      out.items.push_back({"", read_name(item, problems), item.place});
    }
  } else if (out.given) {
    out.items.push_back({"", read_name(node, problems), node.place});
  }
  return out;
}

std::string default_name(const StepDecl& step) {
  if (step.kind != "model") return step.kind;
  const auto& path = step.options.scalar;
  const auto file = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  return file.empty() ? step.kind : file.substr(0, file.rfind('.'));
}

// One key that says what kind of step it is, and those that all steps have.
StepDecl read_step(const Node& node, std::span<const std::string> kinds, Problems& problems) {
  StepDecl out;
  out.place = node.place;
  if (!expect_kind(node, Node::Kind::kMap, "a mapping for a step", problems)) return out;
  std::vector<std::string_view> known = {"name", "inputs", "outputs", "model", "engine"};
  known.insert(known.end(), kinds.begin(), kinds.end());
  std::vector<std::string_view> seen;
  for (const auto& entry : node.entries) {
    if (std::ranges::count(seen, entry.key) > 0) {
      report(problems, entry.place, "key '" + printable(entry.key) + "' is given twice");
      continue;
    }
    seen.push_back(entry.key);
    if (entry.key == "name") {
      out.name = read_name(entry.value, problems);
    } else if (entry.key == "inputs") {
      out.inputs = read_ports(entry.value, problems);
    } else if (entry.key == "outputs") {
      out.outputs = read_ports(entry.value, problems);
    } else if (entry.key == "engine") {
      out.engine = read_name(entry.value, problems);
    } else if (std::ranges::count(known, entry.key) == 0) {
      report(problems, entry.place, unknown_key_message(entry.key, known));
    } else if (!out.kind.empty()) {
      report(problems, entry.place,
             "a step is one thing; this one is both " + out.kind + " and " + entry.key);
    } else {
      out.kind = entry.key;
      out.options = entry.value;
      out.options.place = entry.value.place.line > 0 ? entry.value.place : entry.place;
      if (out.kind == "model") read_name(entry.value, problems);
    }
  }
  if (out.kind.empty() && problems.empty()) {
    report(problems, node.place,
           "a step must say what it is: model, " +
               join_and(std::vector<std::string>(kinds.begin(), kinds.end())));
  }
  if (!out.engine.empty() && out.kind != "model") {
    report(problems, node.place, "only a step with `model` has an engine");
  }
  if (out.name.empty()) out.name = default_name(out);
  return out;
}

void read_steps(const Node& node, std::span<const std::string> kinds, GraphDecl& out,
                Problems& problems) {
  if (!expect_kind(node, Node::Kind::kList, "a list of steps", problems)) return;
  if (node.items.size() > kMaxSteps) {
    return report(problems, node.place, "a pipeline has at most 256 steps");
  }
  for (const auto& item : node.items) {
    auto step = read_step(item, kinds, problems);
    const bool twice =
        std::ranges::any_of(out.steps, [&](const auto& other) { return other.name == step.name; });
    if (twice && !step.name.empty()) {
      report(problems, item.place,
             "there are two steps '" + printable(step.name) + "'; give one of them another name");
    }
    out.steps.push_back(std::move(step));
  }
}

}  // namespace

GraphDecl read_graph(const Node& root, std::span<const std::string> kinds, Problems& problems) {
  GraphDecl out;
  out.place = root.place;
  if (!expect_kind(root, Node::Kind::kMap, "a mapping with `steps`", problems)) return out;
  std::vector<std::string_view> seen;
  for (const auto& entry : root.entries) {
    if (std::ranges::count(seen, entry.key) > 0) {
      report(problems, entry.place, "key '" + printable(entry.key) + "' is given twice");
    } else if (entry.key == "inputs") {
      out.inputs = read_inputs(entry.value, problems);
    } else if (entry.key == "steps") {
      read_steps(entry.value, kinds, out, problems);
    } else if (entry.key == "outputs") {
      const auto ports = read_ports(entry.value, problems);
      if (ports.by_name) {
        report(problems, entry.value.place, "expected a list of tensors, found a mapping");
      }
      if (ports.items.empty()) {
        report(problems, entry.value.place,
               "a pipeline has outputs; leave the key out for those of the last step");
      }
      std::set<std::string> names;
      for (const auto& item : ports.items) {
        if (names.insert(item.tensor).second) continue;
        report(problems, item.place, "output '" + printable(item.tensor) + "' is listed twice");
      }
      out.outputs = ports.items;
    } else {
      report(problems, entry.place, unknown_key_message(entry.key, {"inputs", "steps", "outputs"}));
    }
    seen.push_back(entry.key);
  }
  if (out.steps.empty() && problems.empty()) {
    report(problems, root.place, "a pipeline needs steps");
  }
  return out;
}

}  // namespace sluice::engines
