// Files that are no XGBoost models, or damaged ones: they are refused before XGBoost sees them, and
// what is not refused can be loaded and asked without harm.
#include "engines/xgboost_file.h"

#include <gtest/gtest.h>
#include <xgboost/c_api.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "engines/xgboost.h"
#include "engines/xgboost_convert.h"

namespace sluice::engines {
namespace {

using nlohmann::json;

std::string text_of(const std::string& name) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/" + name);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}

json read_json(const std::string& name) { return json::parse(text_of(name)); }

std::string as_ubjson(const std::string& text) { return *xgboost_from_json(text, true); }

// The format before JSON, by the library itself.
std::string as_binary(const std::string& text) {
  BoosterHandle booster = nullptr;
  XGBoosterCreate(nullptr, 0, &booster);
  EXPECT_EQ(XGBoosterLoadModelFromBuffer(booster, text.data(), text.size()), 0);
  bst_ulong length = 0;
  const char* bytes = nullptr;
  EXPECT_EQ(XGBoosterSaveModelToBuffer(booster, R"({"format":"deprecated"})", &length, &bytes), 0)
      << XGBGetLastError();
  std::string out(bytes, length);
  XGBoosterFree(booster);
  return out;
}

json& booster_of(json& model) { return model["learner"]["gradient_booster"]; }

json as_dart(json model) {
  auto& booster = booster_of(model);
  const json gbtree = booster;
  booster = {{"name", "dart"}, {"gbtree", gbtree}};
  for (std::size_t i = 0; i < gbtree["model"]["trees"].size(); ++i) {
    booster["weight_drop"].push_back(0.5);
  }
  return model;
}

// Its first tree splits at its root by categories 1, 3 and 40.
json by_categories(json model) {
  auto& tree = booster_of(model)["model"]["trees"][0];
  tree["split_type"][0] = 1;
  tree["categories_nodes"] = {0};
  tree["categories_segments"] = {0};
  tree["categories_sizes"] = {3};
  tree["categories"] = {1, 3, 40};
  return model;
}

const char* const kBinary = "tests/models/xgb_binary.json";

// Every kind of file that is served.
std::vector<std::string> good_files() {
  std::vector<std::string> out;
  for (const char* name :
       {kBinary, "tests/models/xgb_multi_softprob.json", "tests/models/xgb_linear.json"}) {
    const auto text = text_of(name);
    out.insert(out.end(), {text, as_ubjson(text), as_binary(text)});
  }
  for (const auto& model : {as_dart(read_json(kBinary)), by_categories(read_json(kBinary))}) {
    out.insert(out.end(), {model.dump(), as_ubjson(model.dump())});
  }
  out.push_back(as_binary(as_dart(read_json(kBinary)).dump()));
  return out;
}

Result<std::unique_ptr<Model>> load(const std::string& bytes) {
  std::FILE* const file = std::tmpfile();
  EXPECT_EQ(std::fwrite(bytes.data(), 1, bytes.size(), file), bytes.size());
  std::fflush(file);
  ModelFile model;
  model.name = "model.xgb";
  auto contents = FileBytes::of_copy(std::make_shared<const Fd>(Fd(::dup(fileno(file)))));
  std::fclose(file);
  EXPECT_TRUE(contents);
  model.contents = *std::move(contents);
  return make_xgboost()->load(model, {});
}

// A model answers, with numbers or with an error.
void ask(const Model& model) {
  const auto width = static_cast<std::size_t>(model.signature().inputs[0].dims[1]);
  if (width > 100'000) return;
  std::vector<float> row(3 * width);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(i % 7) - 3;
  TensorView input;
  input.shape = {3, static_cast<std::int64_t>(width)};
  input.data = std::as_bytes(std::span(row));
  TensorView output;
  Arena arena;
  (void)model.run({&input, 1}, {&output, 1}, arena);
  if (model.explains()) (void)model.explain({&input, 1}, arena);
}

std::string refused(std::string_view bytes) {
  const auto checked = check_xgboost_file(bytes);
  if (checked) return "it is taken";
  EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
  EXPECT_EQ(checked.error().reason, "bad_model");
  return checked.error().message;
}

void expect_says(std::string_view bytes, const std::string& what) {
  const auto said = refused(bytes);
  EXPECT_NE(said.find(what), std::string::npos) << said << "\n  does not say: " << what;
}

TEST(XgboostFile, WhatIsServedIsTaken) {
  for (const auto& bytes : good_files()) {
    const auto model = load(bytes);
    ASSERT_TRUE(model) << model.error().message << "\n" << bytes.substr(0, 100);
    ask(**model);
  }
  for (const char* name : {"tests/models/xgb_binary.ubj", "examples/models/wine/1/model.json",
                           "examples/models/breast_cancer/v2/model.json"}) {
    EXPECT_TRUE(check_xgboost_file(text_of(name))) << refused(text_of(name));
  }
  // With the mark that XGBoost writes first now, and without, as it did before.
  const auto binary = as_binary(text_of(kBinary));
  ASSERT_TRUE(binary.starts_with("binf"));
  EXPECT_TRUE(check_xgboost_file(binary.substr(4)));
}

TEST(XgboostFile, SaysWhatItIsInstead) {
  using namespace std::string_literals;
  expect_says("<!DOCTYPE html><html><body>404</body></html>\n",
              "it is no XGBoost model: it begins with '<!DOCTYPE html><html>");
  expect_says("<a>", "a web page");
  expect_says("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull");
  expect_says("tree\nversion=v4\nnum_class=1\n", "LightGBM");
  expect_says("\x80\x04\x95\x10"s, "a pickle");
  expect_says(text_of("tests/models/two_inputs.onnx"), "an ONNX model");
  expect_says("binf" + std::string(300, 'x'), "it is no XGBoost model: it begins with 'binfxxx");
  expect_says("CONFIG-offset:", "a serialised booster");
  expect_says("booster[0]:\n0:[f0<1]", "a dump");
  expect_says("[{\"nodeid\": 0}]", "get_dump");
  expect_says("PK\x03\x04", "an archive");
  expect_says("\x1F\x8B\x08", "gzip");
  expect_says("PAR1", "no format that is known here");
  expect_says(""s, "the model file is empty");
  expect_says(std::string(1, '\0'), "byte 0x00");
  expect_says("{", "neither valid JSON nor UBJSON");
  expect_says("{}", "neither valid JSON nor UBJSON");
  expect_says("{ \"error\": 404}\n", "it has no object 'learner'");
}

TEST(XgboostFile, EveryFileThatIsCutOffIsRefused) {
  for (const auto& bytes : good_files()) {
    for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 50) {
      EXPECT_FALSE(check_xgboost_file(std::string_view(bytes).substr(0, size))) << size;
    }
    EXPECT_FALSE(check_xgboost_file(std::string_view(bytes).substr(0, bytes.size() - 1)));
    EXPECT_FALSE(check_xgboost_file(bytes + "x"));
  }
  expect_says(text_of(kBinary) + "{", "something follows its end at byte");
  expect_says(text_of("tests/models/xgb_binary.ubj") + "12", "2 bytes follow its end");
}

// `bytes` with the length at `at`, eight bytes of it, replaced.
std::string with_length(std::string bytes, std::size_t at, std::uint64_t length) {
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[at + i] = static_cast<char>(length >> (56 - 8 * i) & 0xFF);
  }
  return bytes;
}

TEST(XgboostFile, LengthsThatPointOutside) {
  const auto good = text_of("tests/models/xgb_binary.ubj");
  const auto array = good.find("[$l#L") + 5;
  expect_says(with_length(good, 2, 0x7FFF'FFFF'FFFF), "a text of 140737488355327 bytes at byte 1");
  expect_says(with_length(good, 2, UINT64_MAX), "a text of -1 bytes at byte 1");
  expect_says(with_length(good, array, 100'000'000), "an array of 100000000 numbers at byte");
  expect_says(with_length(good, array, std::uint64_t{1} << 62), "goes on behind its end");
  expect_says(with_length(good, good.find("[#L") + 3, 1'000'000),
              "an array of 1000000 values at byte");
  // XGBoost takes 0xFF for the file's end, and goes on for ever.
  expect_says("{L" + std::string(7, '\0') + "\x01x[\xFF", "begins no value");
}

TEST(XgboostFile, NestingHasAnEnd) {
  for (const std::size_t depth : {60, 100, 2'000'000}) {
    std::string ubjson = "{L" + std::string(7, '\0') + "\x01x";
    expect_says("{\"x\":" + std::string(depth, '['),
                depth > 60 ? "nested too deeply" : "too early");
    expect_says(ubjson + std::string(depth, '['), depth > 60 ? "nested too deeply" : "too early");
  }
}

// A change of one place, and what is said of it, in JSON and in UBJSON alike.
struct Damage {
  const char* place;
  json value;
  const char* says;
};

const std::string kTrees = "/learner/gradient_booster/model/";

TEST(XgboostFile, NumbersThatXgboostWouldBelieve) {
  const auto good = read_json(kBinary);
  const std::vector<Damage> damages = {
      {"trees/0/left_children/0", 7, "the right child of node 0 does not follow"},
      {"trees/0/left_children/0", -2, "the right child of node 0 does not follow"},
      {"trees/1/right_children/1", 2, "the right child of node 1 does not follow"},
      {"trees/1/left_children/1", 5'000'000'000, "5000000000 is out of range"},
      {"trees/0/left_children/3", 1, "the right child of node 3"},
      {"trees/0/parents/4", 7, "node 4 has 7 for its parent"},
      {"trees/0/parents/1", 2147483647, "node 1 has 2147483647 for its parent"},
      {"trees/0/split_indices/0", 4, "a node splits by feature 4, but there are 4"},
      {"trees/0/split_indices/0", -1, "node 0 splits by feature -1"},
      {"trees/0/split_type/0", 1, "node 0 splits by categories and has none"},
      {"trees/0/split_type/0", 2, "an unknown kind 2"},
      {"trees/0/split_type", json::array({0}), "lists of nodes do not have the 7 values"},
      {"trees/0/categories_nodes", json::array({0}), "categories of 1 nodes too many"},
      {"trees/0/tree_param/num_nodes", "1000000000", "the 1000000000 values that are said"},
      {"trees/0/tree_param/num_nodes", "-1", "it is not said how many nodes there are"},
      {"trees/0/tree_param/num_nodes", "7x", "'7x' is no number"},
      {"trees/2/id", 1, "the trees are not numbered from 0"},
      {"trees/2/id", nullptr, "something else in a list of whole numbers"},
      {"tree_info/1", 1, "a tree is for class 1 of 1"},
      {"tree_info", json::array({0, 0}), "there are 3 trees, and 2 with a class, but it says 3"},
      {"gbtree_model_param/num_trees", "2000000000", "but it says 2000000000"},
      {"gbtree_model_param/num_parallel_tree", "4294967296", "a round has 4294967296 trees"},
  };
  for (const auto& [place, value, says] : damages) {
    auto model = good;
    model[json::json_pointer(kTrees + place)] = value;
    expect_says(model.dump(), says);
  }
}

TEST(XgboostFile, ChildrenThatAreNotThere) {
  const std::vector<std::tuple<int, int, const char*>> children = {
      {7, 8, "node 0 has 7 for a child"},
      {6, 7, "node 0 has 7 for a child"},
      {0, 1, "two ways lead to node 0"},
      {-3, -2, "node 0 has -3 for a child"}};
  for (const auto& [left, right, says] : children) {
    auto model = read_json(kBinary);
    auto& tree = booster_of(model)["model"]["trees"][0];
    tree["left_children"][0] = left;
    tree["right_children"][0] = right;
    expect_says(model.dump(), says);
  }
}

TEST(XgboostFile, NumbersOfTheWhole) {
  const auto good = read_json("tests/models/xgb_multi_softprob.json");
  const std::vector<Damage> damages = {
      {"/learner/learner_model_param/num_feature", "4000000000", "4000000000 features"},
      {"/learner/learner_model_param/num_feature", "1", "but there are 1"},
      {"/learner/learner_model_param/num_feature", nullptr, "how many features"},
      {"/learner/learner_model_param/num_class", "2000000000", "but has only 3 trees"},
      {"/learner/learner_model_param/num_class", "2", "2 classes in one place and 3 in another"},
      {"/learner/learner_model_param/base_score", "[5E-1,5E-1]", "XGBoost 3.1 or newer"},
      {"/learner/attributes/best_iteration", "1", "its best iteration is 1"},
      {"/learner/attributes/best_iteration", "18446744073709551615", "its best iteration is"},
  };
  for (const auto& [place, value, says] : damages) {
    auto model = good;
    model[json::json_pointer(place)] = value;
    expect_says(model.dump(), says);
  }
  auto linear = read_json("tests/models/xgb_linear.json");
  booster_of(linear)["model"]["weights"].erase(0);
  expect_says(linear.dump(), "it has 14 weights, which is not one for each of 4 features");
  booster_of(linear)["model"].erase("weights");
  expect_says(linear.dump(), "it has 0 weights");
  auto dart = as_dart(read_json(kBinary));
  booster_of(dart)["weight_drop"].erase(0);
  expect_says(dart.dump(), "there are 2 weights of 3 trees");
}

TEST(XgboostFile, Categories) {
  const auto good = by_categories(read_json(kBinary));
  const std::vector<Damage> damages = {
      {"trees/0/categories_segments/0", 1, "node 0 has categories that are not there"},
      {"trees/0/categories_segments/0", -1, "node 0 has categories that are not there"},
      {"trees/0/categories_sizes/0", 4, "node 0 has categories that are not there"},
      {"trees/0/categories_sizes/0", 0, "node 0 has categories that are not there"},
      {"trees/0/categories_sizes", json::array(), "lists of categories differ"},
      {"trees/0/categories/0", -1, "there is a category -1"},
      {"trees/0/categories/0", 2'000'000'000, "there is a category 2000000000"},
  };
  for (const auto& [place, value, says] : damages) {
    auto model = good;
    model[json::json_pointer(kTrees + place)] = value;
    expect_says(model.dump(), says);
  }
}

// XGBoost takes the first in UBJSON and the last in JSON.
TEST(XgboostFile, NamesAreThereOnce) {
  auto text = text_of(kBinary);
  const auto at = text.find("\"left_children\"");
  text.insert(at, "\"left_children\":[1,3,5,-1,-1,-1,-1],");
  expect_says(text, "'left_children' is there twice");
}

std::string damaged(const std::string& good, std::mt19937& random) {
  auto out = good;
  const auto changes = 1 + random() % 3;
  for (std::size_t i = 0; i < changes; ++i) {
    auto& byte = out[random() % out.size()];
    switch (random() % 4) {
      case 0: byte = static_cast<char>(random()); break;
      case 1: byte = static_cast<char>(byte ^ 1 << random() % 8); break;
      case 2: byte = static_cast<char>(random() % 2 == 0 ? 0xFF : 0x7F); break;
      default: byte = static_cast<char>('0' + random() % 10); break;
    }
  }
  if (random() % 20 == 0) out.resize(random() % out.size());
  return out;
}

// A model or an error, and never the end of the process. SLUICE_MUTATIONS: how many, of each file.
TEST(XgboostFile, DamagedFilesEndNothing) {
  const char* const wanted = std::getenv("SLUICE_MUTATIONS");
  const int count = wanted == nullptr ? 40 : std::atoi(wanted);
  std::mt19937 random(wanted == nullptr ? 11 : std::random_device()());
  std::size_t tried = 0;
  std::size_t loaded = 0;
  for (const auto& good : good_files()) {
    for (int i = 0; i < count; ++i, ++tried) {
      const auto model = load(damaged(good, random));
      if (!model) continue;
      ++loaded;
      ask(**model);
    }
  }
  if (wanted != nullptr) std::printf("%zu damaged files, %zu loaded and asked\n", tried, loaded);
  EXPECT_GT(loaded, 0U);
  EXPECT_LT(loaded, tried);
}

}  // namespace
}  // namespace sluice::engines
