// sluice config check

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "app/commands.h"
#include "app/options.h"
#include "base/file.h"
#include "base/json_writer.h"
#include "base/text.h"
#include "config/yaml.h"
#include "engines/pipeline_check.h"
#include "features/plan.h"
#include "release/spec.h"
#include "sources/layout.h"
#include "sources/model_yaml.h"
#include "sources/version_files.h"

namespace sluice::app {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::string file;
  bool json = false;
};

constexpr std::size_t kMaxConfig = 1 << 20;

std::size_t known_keys(const Node& root, const std::vector<std::string_view>& keys) {
  return static_cast<std::size_t>(std::ranges::count_if(root.entries, [&](const NodeEntry& entry) {
    return std::ranges::find(keys, entry.key) != keys.end();
  }));
}

// model.yaml by its name; any other file by which options it has more of.
bool is_model_file(const std::string& path, const Node& root) {
  const auto name = fs::path(path).filename().string();
  if (name == "model.yaml" || name == "model.yml") return true;
  if (name.ends_with("ensemble.yaml")) return false;
  return known_keys(root, ModelConfig::schema().keys()) >
         known_keys(root, ServeOptions::schema().keys());
}

// By what the repository checks it with when the model is served. All its mistakes are one problem,
// at the place of the block.
void check_release(const Node& declared, Problems& problems) {
  const auto spec = release::parse_spec(declared);
  if (!spec) return problems.push_back({declared.place, "release: " + spec.error().message});
  if (spec->policy.empty()) return;  // only shadows: whoever serves goes on
  const auto policy = release::Policies::builtin().make(*spec);
  if (!policy) problems.push_back({declared.place, "release: " + policy.error().message});
}

void print_json(const Problems& problems) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("valid", problems.empty()).key("problems").begin_array();
  for (const auto& problem : problems) {
    json.begin_object().field("line", problem.place.line).field("column", problem.place.column);
    json.field("message", std::string_view(problem.message)).end_object();
  }
  json.end_array().end_object();
  std::printf("%s\n", out.c_str());
}

void check_features(const FeatureOptions& options, const Node& root, Problems& problems) {
  const Node* const features = root.find("features");
  // A mistake of its own keys would be told a second time.
  if (features == nullptr || !problems.empty()) return;
  if (auto checked = features::check_options(options); !checked) {
    report(problems, features->place, checked.error().message);
  }
}

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// Of the versions that a graph in model.yaml is for; without any the files lie beside it.
std::vector<fs::path> versions_beside(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto& path = entry.path();
    const bool version = sources::looks_like_version(path.filename().string()) &&
                         fs::is_directory(path, error) && !fs::is_empty(path, error);
    if (version && !fs::exists(path / sources::kPipeline, error)) out.push_back(path);
  }
  std::ranges::sort(out);
  if (out.empty()) out.push_back(folder);
  return out;
}

void check_in(const Node& pipeline, const fs::path& folder, Problems& problems) {
  auto directory = open_directory(folder);
  engines::check_pipeline(
      pipeline, directory ? std::make_shared<const Fd>(std::move(*directory)) : nullptr, problems);
}

bool is_in(const Problem& problem, const Problems& problems) {
  return std::ranges::any_of(problems, [&](const Problem& other) {
    return other.place.line == problem.place.line && other.place.column == problem.place.column &&
           other.message == problem.message;
  });
}

// A graph in model.yaml with the files of each version: what is wrong with all of them is said
// once.
void check_pipeline(const Node& pipeline, const fs::path& folder, Problems& problems) {
  const auto versions = versions_beside(folder);
  std::vector<Problems> found(versions.size());
  for (std::size_t i = 0; i < versions.size(); ++i) check_in(pipeline, versions[i], found[i]);
  for (std::size_t i = 0; i < versions.size(); ++i) {
    for (auto& problem : found[i]) {
      const bool everywhere =
          std::ranges::all_of(found, [&](const auto& other) { return is_in(problem, other); });
      if (everywhere && i > 0) continue;
      if (!everywhere) {
        problem.message =
            "version '" + printable(versions[i].filename().string()) + "': " + problem.message;
      }
      problems.push_back(problem);
    }
  }
}

int check(const Arguments& arguments) {
  const auto text = read_text(arguments.file, kMaxConfig, "the configuration file");
  if (!text) return complain(text.error());
  Problems problems;
  std::vector<std::string> warnings;
  if (const auto root = config::parse_yaml(*text, problems)) {
    if (is_model_file(arguments.file, *root)) {
      auto yaml = sources::read_model_yaml(*text);
      problems = std::move(yaml.problems);
      if (yaml.config.release) check_release(*yaml.config.release, problems);
      if (yaml.config.features) check_features(*yaml.config.features, *root, problems);
      const Node* pipeline = root->find("ensemble");
      if (pipeline != nullptr && pipeline->kind == Node::Kind::kMap) {
        check_pipeline(*pipeline, folder_of(arguments.file), problems);
      }
    } else if (arguments.file.ends_with("ensemble.yaml")) {
      check_in(*root, folder_of(arguments.file), problems);
    } else {
      ServeOptions options;
      ServeOptions::schema().read(*root, options, problems);
      warn_of_idle_options(*root, warnings);
    }
  }
  std::ranges::sort(problems, {}, [](const Problem& problem) {
    return std::pair(problem.place.line, problem.place.column);
  });
  if (arguments.json) {
    print_json(problems);
    if (!problems.empty()) {
      complain(kBadData, arguments.file + " has mistakes: " + std::to_string(problems.size()));
    }
  } else {
    for (const auto& problem : problems) {
      std::fprintf(stderr, "%s\n", config::show_problem(arguments.file, problem).c_str());
    }
    for (const auto& warning : warnings) std::fprintf(stderr, "warning: %s\n", warning.c_str());
    if (problems.empty()) std::printf("%s is valid\n", arguments.file.c_str());
  }
  return problems.empty() ? kSuccess : kBadData;
}

}  // namespace

Action add_config(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* sub = app.add_subcommand("check", "Report every mistake with its line and column");
  app.require_subcommand(1);
  sub->add_option("file", arguments->file, "model.yaml, ensemble.yaml, or a server's configuration")
      ->required();
  sub->add_flag("--json", arguments->json, "print JSON");
  sub->footer("Example:\n  sluice config check model.yaml");
  return [arguments] { return check(*arguments); };
}

}  // namespace sluice::app
