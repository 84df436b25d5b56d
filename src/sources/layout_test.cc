// Which models there are in a tree, and which files make them what they are.

#include "sources/layout.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <map>

#include "sources/disk_tree.h"
#include "sources/object_tree.h"

namespace sluice::sources {
namespace {

namespace fs = std::filesystem;

const std::string kSteps = "steps: [{standardise: scaler.json}, {model: a.onnx}]\n";

// An object store's, with files of a few bytes.
class Layouts : public testing::Test {
 protected:
  static Result<std::vector<WantedModel>> look(const std::map<std::string, std::string>& files,
                                               const std::string& file = "") {
    std::vector<Object> objects;
    for (const auto& [key, content] : files)
      objects.push_back({key, content.size(), content, "", ""});
    const ObjectTree tree(
        objects, [&](const Object& object) -> Result<std::string> { return files.at(object.key); });
    const Layout layout({".onnx", ".json", ".ensemble.yaml"});
    if (!file.empty()) return layout.find_file(tree, file, "root");
    return layout.find(tree, "root");
  }

  // "risk v1 risk/v1/ensemble.yaml with labels", a line for each version.
  static std::string shown(const Result<std::vector<WantedModel>>& models) {
    if (!models) return models.error().message;
    std::string out;
    for (const auto& model : *models) {
      for (const auto& version : model.versions) {
        out += model.name.str() + " " + version.name.str() + " " + version.location;
        if (!model.config.labels.empty()) out += " with labels";
        out += "\n";
      }
    }
    return out;
  }

  // Whether the only version is another one when `key` is.
  static bool heeds(std::map<std::string, std::string> files, const std::string& key,
                    const std::string& file = "") {
    const auto before = look(files, file);
    files[key] += "!";
    const auto after = look(files, file);
    EXPECT_EQ(before->size(), 1U);
    EXPECT_EQ(after->size(), 1U);
    EXPECT_EQ(before->at(0).versions.at(0).location, after->at(0).versions.at(0).location);
    return before->at(0).versions.at(0).fingerprint != after->at(0).versions.at(0).fingerprint;
  }
};

TEST_F(Layouts, AFileOfAVersionKeepsBothNamesAndTheConfiguration) {
  const std::map<std::string, std::string> files = {{"p/model.yaml", "labels: [a, b]\n"},
                                                    {"p/v1/ensemble.yaml", kSteps},
                                                    {"p/v1/model.onnx", ""},
                                                    {"p/v1/other.onnx", ""},
                                                    {"p/ensemble.yaml", kSteps}};
  for (const std::string name : {"ensemble.yaml", "model.onnx"}) {
    EXPECT_EQ(shown(look(files, "p/v1/" + name)), "p v1 p/v1/" + name + " with labels\n");
  }
  EXPECT_EQ(shown(look(files, "p/v1/other.onnx")), "other 1 p/v1/other.onnx\n");
  EXPECT_EQ(shown(look(files, "p/ensemble.yaml")), "ensemble 1 p/ensemble.yaml\n");
}

TEST_F(Layouts, AModelYamlStandsForItsDirectory) {
  const Layout layout({".onnx"});
  const auto yaml = split_file("a/p/model.yaml", layout);
  EXPECT_EQ(yaml.root + "|" + yaml.name + "|" + yaml.file, "a/p|p|");
  for (const std::string name : {"model.onnx", "ensemble.yaml"}) {
    const auto file = split_file("a/p/v1/" + name, layout);
    EXPECT_EQ(file.root + "|" + file.name + "|" + file.file, "a/p|p|v1/" + name);
  }
}

TEST_F(Layouts, InAFlatDirectoryAPipelinesScalerIsNoModel) {
  std::map<std::string, std::string> files = {
      {"risk.ensemble.yaml", kSteps}, {"a.onnx", ""}, {"scaler.json", ""}, {"churn.json", ""}};
  EXPECT_EQ(shown(look(files)), "a 1 a.onnx\nchurn 1 churn.json\nrisk 1 risk.ensemble.yaml\n");
  EXPECT_EQ(shown(look(files, "risk.ensemble.yaml")), "risk 1 risk.ensemble.yaml\n");
  files["risk.ensemble.yaml"] = "steps: [";
  EXPECT_EQ(shown(look(files)),
            "a 1 a.onnx\nchurn 1 churn.json\nrisk 1 risk.ensemble.yaml\nscaler 1 scaler.json\n");
}

TEST_F(Layouts, APipelineIsAnotherOneWhenAFileOfItsStepsIs) {
  const std::string steps =
      "steps: [{vocabulary: {file: ./parts/words.txt}}, {name: a, model: parts/a.onnx}]\n";
  const std::map<std::string, std::string> alone = {{"ensemble.yaml", steps}};
  const std::map<std::string, std::string> in_folder = {{"p/ensemble.yaml", steps}};
  const std::map<std::string, std::string> version = {{"p/1/ensemble.yaml", steps}};
  const std::map<std::string, std::string> flat = {{"p.ensemble.yaml", steps}};
  const std::map<std::string, std::string> yaml = {
      {"p/model.yaml", "ensemble: {" + steps.substr(0, steps.size() - 1) + "}\n"}};
  for (const std::string part : {"parts/a.onnx", "parts/a.onnx.data", "parts/words.txt"}) {
    EXPECT_TRUE(heeds(alone, part)) << part;
    EXPECT_TRUE(heeds(alone, part, "ensemble.yaml")) << part;
    EXPECT_TRUE(heeds(in_folder, "p/" + part)) << part;
    EXPECT_TRUE(heeds(version, "p/1/" + part)) << part;
    EXPECT_TRUE(heeds(version, "p/1/" + part, "p/1/ensemble.yaml")) << part;
    EXPECT_TRUE(heeds(yaml, "p/" + part)) << part;
    EXPECT_TRUE(heeds(flat, part, "p.ensemble.yaml")) << part;
  }
  EXPECT_FALSE(heeds(flat, "other.bin", "p.ensemble.yaml"));
  EXPECT_FALSE(heeds(alone, "other.bin", "ensemble.yaml"));
}

TEST_F(Layouts, AModelIsAnotherOneWhenItsFilesAre) {
  EXPECT_TRUE(heeds({{"m/1/model.onnx", ""}}, "m/1/weights/w.bin"));
  EXPECT_TRUE(heeds({{"m/1/model.onnx", ""}}, "m/1/a/b/c/d/w.bin")) << "four levels";
  EXPECT_FALSE(heeds({{"m/1/model.onnx", ""}}, "m/1/a/b/c/d/e/w.bin"));
  EXPECT_TRUE(heeds({{"m.onnx", ""}}, "m.onnx.data"));
  EXPECT_FALSE(heeds({{"m/model.onnx", ""}, {"m/model.yaml", ""}}, "m/predictions.log"));
}

TEST_F(Layouts, OnlySoMuchIsLookedAtBelowAVersion) {
  std::map<std::string, std::string> files = {{"m/1/model.onnx", ""}};
  for (int i = 0; i < 2000; ++i) files["m/1/many/" + std::to_string(10'000 + i)] = "";
  EXPECT_TRUE(heeds(files, "m/1/many/10500"));
  EXPECT_FALSE(heeds(files, "m/1/many/11500"));
  EXPECT_TRUE(heeds(files, "m/1/weights.bin")) << "beside the model is all";
}

TEST_F(Layouts, APipelineThatIsWrittenTwiceIsRefused) {
  const std::string yaml = "ensemble: {" + kSteps.substr(0, kSteps.size() - 1) + "}\n";
  const std::map<std::string, std::string> files = {
      {"p/model.yaml", yaml}, {"p/1/ensemble.yaml", kSteps}, {"p/2/a.onnx", ""}};
  const auto models = look(files);
  ASSERT_EQ(models->at(0).versions.size(), 2U);
  const std::string twice =
      "there are two pipelines for it, `ensemble:` in model.yaml and ensemble.yaml; keep one";
  EXPECT_EQ(models->at(0).versions[0].problem, twice);
  EXPECT_EQ(models->at(0).versions[1].problem, "");
  EXPECT_EQ(look(files, "p/1/ensemble.yaml")->at(0).versions[0].problem, twice);
}

TEST_F(Layouts, AnEnsembleOfTritonSaysThatItIsNotRead) {
  const auto models =
      look({{"t/config.pbtxt", "platform: \"ensemble\"\nensemble_scheduling {\n}\n"},
            {"t/1/.keep", ""}});
  ASSERT_EQ(models->size(), 1U);
  EXPECT_NE(models->at(0).problem.find("`ensemble:` in model.yaml"), std::string::npos);
}

// Links may go round in circles.
TEST(DiskLayout, ALookEndsWhateverLinksDo) {
  std::string pattern = testing::TempDir() + "layoutXXXXXX";
  const fs::path root = ::mkdtemp(pattern.data());
  fs::create_directories(root / "m/1/a");
  std::ofstream(root / "m/1/model.onnx") << "m";
  for (const std::string name : {"b", "c", "d"}) {
    fs::create_directory_symlink("..", root / "m/1/a" / name);
  }
  const auto tree = DiskTree::open(root);
  const auto models = Layout({".onnx"}).find(*tree, "root");
  EXPECT_EQ(models.size(), 1U);
  fs::remove_all(root);
}

}  // namespace
}  // namespace sluice::sources
