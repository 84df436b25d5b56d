// sluice inspect

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "app/commands.h"
#include "app/learn.h"
#include "app/stack.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/text.h"

namespace sluice::app {
namespace {

struct Arguments {
  LoadFlags load_flags;
  std::string file;
  bool json = false;
  LearnArguments learn;
};

struct Inspected {
  std::string engine;
  std::uint64_t bytes = 0;
  std::shared_ptr<const Servable> servable;
};

// The engine's own name; its models' platform ends with it: onnxruntime_onnx.
std::string engine_of(const Stack& stack, const Model& model) {
  for (const auto& [name, engine] : stack.engines().items()) {
    if (model.platform().ends_with(name)) return name;
  }
  return std::string(model.platform());
}

Result<Inspected> inspect_model(const std::string& path, const LoadFlags& load_flags) {
  SLUICE_TRY(const auto stack, Stack::open(path, load_flags));
  SLUICE_CHECK(stack->load());
  SLUICE_TRY(const auto request, stack->request_to_only_model());
  Inspected out;
  out.servable = request->servable;
  out.engine = engine_of(*stack, out.servable->loaded());
  out.bytes = stack->bytes_of(out.servable->version().str());
  return out;
}

// As answers call them.
const std::vector<std::string>& classes_of(const Signature& signature) {
  return signature.class_names.empty() ? signature.classes : signature.class_names;
}

void write_specs(JsonWriter& json, std::string_view key, const std::vector<TensorSpec>& specs) {
  json.key(key).begin_array();
  for (const auto& spec : specs) {
    json.begin_object().field("name", std::string_view(spec.name));
    json.field("dtype", name_of(spec.dtype)).key("shape").begin_array();
    for (const auto dim : spec.dims) json.value(dim);
    json.end_array().end_object();
  }
  json.end_array();
}

// Of this process, and of the largest that has ended below it. Not ru_maxrss of this one: that
// begins with what the process that started it held (execve(2) hands it on).
std::uint64_t peak_memory() {
  std::uint64_t out = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) out = std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  rusage below{};
  if (::getrusage(RUSAGE_CHILDREN, &below) == 0) {
    out = std::max(out, static_cast<std::uint64_t>(below.ru_maxrss));
  }
  return out * 1024;
}

void print_json(Inspected& inspected) {
  const auto signature = inspected.servable->signature();
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("engine", std::string_view(inspected.engine));
  if (inspected.bytes > 0) json.field("bytes", inspected.bytes);
  json.field("parameters", inspected.servable->loaded().parameters());
  write_specs(json, "inputs", signature.inputs);
  write_specs(json, "outputs", signature.outputs);
  json.key("classes").begin_array();
  for (const auto& name : classes_of(signature)) json.value(std::string_view(name));
  json.end_array().key("columns").begin_array();
  for (const auto& name : signature.columns) json.value(std::string_view(name));
  json.end_array();
  for (const auto& fact : inspected.servable->loaded().facts()) {
    const auto number = parse_int(fact.value);
    json.key(fact.name);
    if (number) {
      json.value(*number);
    } else {
      json.value(std::string_view(fact.value));
    }
  }
  inspected.servable.reset();  // and with it the worker of a pickle, whose memory counts
  json.field("peak_memory_bytes", peak_memory());
  json.end_object();
  std::printf("%s\n", out.c_str());
}

void print_specs(const char* title, const std::vector<TensorSpec>& specs) {
  for (const auto& spec : specs) {
    std::printf("%-12s %s  %s %s\n", title, printable(spec.name, 200).c_str(),
                std::string(name_of(spec.dtype)).c_str(), show_shape(spec.dims).c_str());
    title = "";
  }
}

void print_text(const Inspected& inspected) {
  const auto& signature = inspected.servable->signature();
  std::printf("%-12s %s\n", "engine", inspected.engine.c_str());
  if (inspected.bytes > 0) {
    std::printf("%-12s %s\n", "size", human_bytes(inspected.bytes).c_str());
  }
  const auto parameters = inspected.servable->loaded().parameters();
  if (parameters > 0)
    std::printf("%-12s %llu\n", "parameters", static_cast<unsigned long long>(parameters));
  print_specs("inputs", signature.inputs);
  print_specs("outputs", signature.outputs);
  if (!signature.classes.empty()) {
    std::printf("%-12s %s\n", "classes", printable(join_and(classes_of(signature)), 500).c_str());
  }
  for (const auto& fact : inspected.servable->loaded().facts()) {
    std::printf("%-12s %s\n", fact.name.c_str(), printable(fact.value, 200).c_str());
  }
}

int learn(const Arguments& arguments) {
  LearnArguments learn = arguments.learn;
  learn.model = arguments.file;
  learn.json = arguments.json;
  return learn_bounds(learn, arguments.load_flags);
}

int inspect(const Arguments& arguments) {
  if (!arguments.learn.table.empty()) return learn(arguments);
  log::set_level(log::Level::kOff);
  auto inspected = inspect_model(arguments.file, arguments.load_flags);
  if (!inspected) return complain(inspected.error());
  if (arguments.json) {
    print_json(*inspected);
  } else {
    print_text(*inspected);
  }
  return kSuccess;
}

}  // namespace

Action add_inspect(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("file", arguments->file, "model file, or the directory or model.yaml of a model")
      ->required();
  auto* table = app.add_option("--learn-bounds", arguments->learn.table,
                               "training data (.parquet, .csv, .jsonl): learn bounds and "
                               "statistics from it, into model.yaml");
  app.add_option("--label", arguments->learn.label, "a column of it that the model does not take")
      ->needs(table);
  app.add_option("--output", arguments->learn.output,
                 "write there; - is stdout. Else model.yaml beside the versions")
      ->needs(table);
  app.add_option("--margin", arguments->learn.margin,
                 "widen bounds by this share of their range: 0.1")
      ->needs(table);
  add_load_flags(app, arguments->load_flags);
  app.add_flag("--json", arguments->json, "print JSON");
  return [arguments] { return inspect(*arguments); };
}

}  // namespace sluice::app
