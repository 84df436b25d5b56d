#include "tools/bench/served_copy.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tools/bench/server_process.h"

namespace sluice::tools {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

std::string read(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(WithBatching, ReplacesTheKeyAndItsBlock) {
  EXPECT_EQ(with_batching("", "{}"), "\nbatching: {}\n");
  EXPECT_EQ(with_batching("labels: [a]\n", "{a: 1}"), "labels: [a]\nbatching: {a: 1}\n");
  EXPECT_EQ(with_batching("batching: {max_batch_size: 4}\nlabels: [a]", "{}"),
            "labels: [a]\nbatching: {}\n");
  EXPECT_EQ(with_batching("x: 1\nbatching:\n  policy: wait\n\n  max_wait: 5ms\ny:\n  z: 2\n", "{}"),
            "x: 1\ny:\n  z: 2\nbatching: {}\n");
  EXPECT_EQ(with_batching("batching: {\n  policy: wait\n}\ny: 2\n", "{}"), "y: 2\nbatching: {}\n");
}

TEST(CopyModel, ATemporaryDirectoryLeavesNothing) {
  fs::path path;
  {
    const auto directory = TemporaryDirectory::make();
    ASSERT_TRUE(directory);
    path = directory->path();
    write(path / "a/b/c", "x");
    EXPECT_TRUE(fs::exists(path));
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(CopyModel, EveryWayToNameAModel) {
  const auto from = TemporaryDirectory::make();
  ASSERT_TRUE(from);
  const auto& root = from->path();
  write(root / "repository/fraud/model.yaml", "labels: [a, b]\n");
  write(root / "repository/fraud/v1/model.onnx", "one");
  write(root / "repository/fraud/v2/model.onnx", "two");
  write(root / "repository/fraud/v2/model.onnx.data", "weights");
  write(root / "flat/iris.onnx", "flat");
  write(root / "flat/iris.onnx.data", "weights");
  write(root / "flat/other.onnx", "other");
  struct Case {
    const char* path;
    const char* name;
    const char* version;
    std::vector<std::pair<const char*, const char*>> files;  // of the version
    std::size_t count;
    bool labels;
  };
  const Case cases[] = {
      {"repository",
       "fraud",
       "v2",
       {{"model.onnx", "two"}, {"model.onnx.data", "weights"}},
       2,
       true},
      {"repository/fraud", "fraud", "v1", {{"model.onnx", "one"}}, 1, true},
      {"repository/fraud/v1/model.onnx", "fraud", "v1", {{"model.onnx", "one"}}, 1, true},
      {"repository/fraud/v1", "v1", "1", {{"model.onnx", "one"}}, 1, false},
      {"flat", "iris", "1", {{"iris.onnx", "flat"}, {"iris.onnx.data", "weights"}}, 2, false},
      {"flat/other.onnx", "other", "1", {{"other.onnx", "other"}}, 1, false},
  };
  for (const auto& each : cases) {
    const auto to = TemporaryDirectory::make();
    ASSERT_TRUE(to);
    const auto copied =
        copy_model({root / each.path, each.name, each.version}, "{max_batch_size: 1}", to->path());
    ASSERT_TRUE(copied) << each.path << ": " << copied.error().message;
    const auto version = to->path() / each.name / each.version;
    for (const auto& [file, text] : each.files) EXPECT_EQ(read(version / file), text) << each.path;
    const auto count = std::distance(fs::directory_iterator(version), fs::directory_iterator());
    EXPECT_EQ(static_cast<std::size_t>(count), each.count) << each.path;
    const auto yaml = read(to->path() / each.name / "model.yaml");
    EXPECT_TRUE(yaml.ends_with("batching: {max_batch_size: 1}\n")) << each.path;
    EXPECT_EQ(yaml.starts_with("labels"), each.labels) << each.path;
  }
}

TEST(ServerProcess, TheLineThatNamesThePort) {
  EXPECT_EQ(http_port_of("listening  http 127.0.0.1:34567  grpc 127.0.0.1:2  management x\n"),
            "34567");
  EXPECT_EQ(http_port_of("listening  http 127.0.0.1:1"), "1");
  EXPECT_EQ(http_port_of("sluice: no"), "");
  EXPECT_EQ(http_port_of(""), "");
}

}  // namespace
}  // namespace sluice::tools
