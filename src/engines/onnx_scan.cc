#include "engines/onnx_scan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked.h"
#include "base/protowire.h"

namespace sluice::engines {
namespace {

constexpr int kMaxDepth = 64;  // of graphs in attributes of nodes in graphs …

// What is needed of a node to say what an output means.
struct NodeFacts {
  std::string_view op;
  std::string_view first_input;
  std::size_t output_index = 0;
};

class Scanner {
 public:
  Result<OnnxFacts> run(std::string_view bytes) {
    model(bytes);
    if (ok_ && !has_graph_) broken("it has no graph");
    if (!ok_) return invalid("bad_model", "the file is not a valid ONNX model: " + why_);
    name_outputs();
    return std::move(facts_);
  }

 private:
  void broken(std::string why) {
    if (ok_) why_ = std::move(why);
    ok_ = false;
  }

  // Calls `use` for every field; any malformed byte ends the scan.
  template <class Use>
  void each(std::string_view bytes, Use use) {
    WireReader reader(bytes);
    while (ok_ && reader.next()) use(reader);
    if (!reader.ok()) broken("its bytes are not a complete protobuf message");
  }

  void model(std::string_view bytes) {
    each(bytes, [&](const WireReader& r) {
      switch (r.field()) {
        case 1: facts_.ir_version = static_cast<std::int64_t>(r.number()); break;
        case 2: facts_.producer = r.bytes(); break;
        case 7:
          has_graph_ = true;
          graph(r.bytes(), 0);
          break;
        case 8: opset(r.bytes()); break;
        case 20:
        case 25: function_or_training(r.bytes()); break;
        default: break;
      }
    });
  }

  void opset(std::string_view bytes) {
    std::string domain;
    std::int64_t version = 0;
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1) domain = r.bytes();
      if (r.field() == 2) version = static_cast<std::int64_t>(r.number());
    });
    facts_.opsets[domain == "ai.onnx" ? "" : domain] = version;
  }

  // FunctionProto has nodes in field 7, TrainingInfoProto graphs in 1 and 2.
  void function_or_training(std::string_view bytes) {
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 7) node(r.bytes(), 1);
      if (r.field() == 1 || r.field() == 2) {
        // In a function, field 1 is its name: only scan what parses as a graph.
        Scanner trial;
        trial.graph(r.bytes(), 1);
        if (trial.ok_) facts_.external_files.merge(trial.facts_.external_files);
      }
    });
  }

  void graph(std::string_view bytes, int depth) {
    if (depth > kMaxDepth) return broken("its graphs are nested too deeply");
    each(bytes, [&](const WireReader& r) {
      switch (r.field()) {
        case 1: node(r.bytes(), depth); break;
        case 5: tensor(r.bytes(), true); break;
        case 12:
          if (depth == 0) output_names_.push_back(name_of_value(r.bytes()));
          break;
        case 15: sparse_tensor(r.bytes()); break;
        default: break;
      }
    });
  }

  std::string_view name_of_value(std::string_view bytes) {
    std::string_view name;
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1) name = r.bytes();
    });
    return name;
  }

  void node(std::string_view bytes, int depth) {
    ++facts_.nodes;
    NodeFacts facts;
    std::vector<std::string_view> outputs;
    std::vector<std::string_view> attributes;
    bool first = true;
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1 && std::exchange(first, false)) facts.first_input = r.bytes();
      if (r.field() == 2) outputs.push_back(r.bytes());
      if (r.field() == 4) facts.op = r.bytes();
      if (r.field() == 5) attributes.push_back(r.bytes());
    });
    if (facts.op == "EPContext") {
      broken("EPContext nodes load code from other files and are not accepted");
    }
    for (const auto attribute_bytes : attributes) attribute(attribute_bytes, facts.op, depth);
    if (depth > 0) return;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      facts.output_index = i;
      makers_[outputs[i]] = facts;
    }
  }

  void attribute(std::string_view bytes, std::string_view op, int depth) {
    std::string_view name;
    std::vector<std::string> strings;
    std::vector<std::string> integers;
    each(bytes, [&](const WireReader& r) {
      switch (r.field()) {
        case 1: name = r.bytes(); break;
        case 5:
        case 10: tensor(r.bytes(), false); break;
        case 6:
        case 11: graph(r.bytes(), depth + 1); break;
        case 8: integer_list(r, integers); break;
        case 9: strings.emplace_back(r.bytes()); break;
        case 22:
        case 23: sparse_tensor(r.bytes()); break;
        default: break;
      }
    });
    const bool zipmap = op == "ZipMap";
    if (name == "classlabels_strings" && !strings.empty()) {
      remember_classes(std::move(strings), false, zipmap);
    } else if ((name == "classlabels_int64s" || name == "classlabels_ints") && !integers.empty()) {
      remember_classes(std::move(integers), true, zipmap);
    }
  }

  void integer_list(const WireReader& r, std::vector<std::string>& out) {
    if (r.type() != WireReader::Type::kBytes) {
      out.push_back(std::to_string(static_cast<std::int64_t>(r.number())));
      return;
    }
    WireReader packed(r.bytes());
    while (!packed.at_end() && packed.ok()) {
      out.push_back(std::to_string(static_cast<std::int64_t>(packed.varint())));
    }
    if (!packed.ok()) broken("a list of integers is cut off");
  }

  // A ZipMap's list wins over a classifier's: it is what the outputs are named by.
  void remember_classes(std::vector<std::string> classes, bool integers, bool zipmap) {
    if (!facts_.classes.empty() && (zipmap_classes_ || !zipmap)) return;
    facts_.classes = std::move(classes);
    facts_.classes_are_integers = integers;
    zipmap_classes_ = zipmap;
  }

  void tensor(std::string_view bytes, bool is_parameter) {
    std::uint64_t elements = 1;
    const auto dimension = [&](std::uint64_t size) {
      elements = checked_mul(elements, size).value_or(0);
    };
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1 && r.type() == WireReader::Type::kBytes) {
        WireReader packed(r.bytes());
        while (!packed.at_end() && packed.ok()) dimension(packed.varint());
      } else if (r.field() == 1) {
        dimension(r.number());
      } else if (r.field() == 13) {
        external_entry(r.bytes());
      }
    });
    if (is_parameter) {
      facts_.parameters = checked_add(facts_.parameters, elements).value_or(facts_.parameters);
    }
  }

  void external_entry(std::string_view bytes) {
    std::string_view key;
    std::string_view value;
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1) key = r.bytes();
      if (r.field() == 2) value = r.bytes();
    });
    if (key == "location") facts_.external_files.emplace(value);
  }

  void sparse_tensor(std::string_view bytes) {
    each(bytes, [&](const WireReader& r) {
      if (r.field() == 1 || r.field() == 2) tensor(r.bytes(), r.field() == 1);
    });
  }

  void name_outputs() {
    for (const auto name : output_names_) facts_.outputs[std::string(name)] = meaning_of(name);
  }

  // Follows an output back through nodes that do not change its meaning.
  OutputFacts meaning_of(std::string_view value) const {
    static constexpr std::array<std::string_view, 7> kTransparent = {
        "Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "ZipMap"};
    static constexpr std::array<std::string_view, 3> kProbabilities = {"Softmax", "Sigmoid",
                                                                       "Normalizer"};
    for (int steps = 0; steps < 16; ++steps) {
      const auto found = makers_.find(value);
      if (found == makers_.end()) return {};
      const NodeFacts& maker = found->second;
      if (std::ranges::count(kTransparent, maker.op) > 0) {
        value = maker.first_input;
        continue;
      }
      if (maker.op.ends_with("Classifier")) {
        return {maker.output_index == 0 ? Role::kLabel : Role::kProbabilities};
      }
      if (maker.op.ends_with("Regressor")) return {Role::kValue};
      if (maker.op == "ArgMax") return {Role::kLabel, true};
      const bool normalised = std::ranges::count(kProbabilities, maker.op) > 0;
      return {normalised ? Role::kProbabilities : Role::kUnknown};
    }
    return {};
  }

  OnnxFacts facts_;
  std::vector<std::string_view> output_names_;
  std::map<std::string_view, NodeFacts> makers_;
  bool zipmap_classes_ = false;
  bool has_graph_ = false;
  bool ok_ = true;
  std::string why_;
};

}  // namespace

Result<OnnxFacts> scan_onnx(std::string_view bytes) {
  if (bytes.empty()) return invalid("bad_model", "the model file is empty");
  return Scanner().run(bytes);
}

}  // namespace sluice::engines
