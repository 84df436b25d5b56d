// Weights that are used where they lie in a file change no answer, and do not need it for long.

#include "engines/onnx_in_place.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "engines/onnx.h"
#include "engines/testing/onnx_tables.h"

namespace sluice::engines {
namespace {

// A file with a name, as the cache of downloads has them.
class NamedFile {
 public:
  explicit NamedFile(std::string_view bytes) {
    std::ofstream(path_, std::ios::binary) << bytes;
    fd_ = std::make_shared<const Fd>(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~NamedFile() { std::filesystem::remove(path_); }
  NamedFile(const NamedFile&) = delete;
  NamedFile& operator=(const NamedFile&) = delete;

  FileBytes bytes() const { return *FileBytes::map(fd_, "the model file"); }
  const Fd& fd() const { return *fd_; }
  void cut_off() const { std::filesystem::resize_file(path_, 0); }

 private:
  const std::filesystem::path path_ =
      std::filesystem::path(testing::TempDir()) / ("named_" + std::to_string(::getpid()) + ".onnx");
  std::shared_ptr<const Fd> fd_;
};

std::unique_ptr<OnnxModel> open_in_place(std::string_view whole,
                                         const std::shared_ptr<WeightsInPlace>& in_place) {
  const auto parts = take_out_weights(whole, kLeast, in_place->location());
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  options.AddConfigEntry("session.model_external_initializers_file_folder_path", "/");
  auto env = environment();
  std::vector<Ort::Session> sessions;
  sessions.emplace_back(*env, parts.rest.data(), parts.rest.size(), options);
  auto out = std::make_unique<OnnxModel>(env, std::move(sessions), *scan_onnx(whole), in_place);
  EXPECT_TRUE(out->describe());
  return out;
}

TEST(OnnxInPlace, InPlaceAnswersAreTheSameBitsAlsoWithoutTheFile) {
  const auto plain = model(0);
  const auto whole = open(plain, plain, {});
  for (const std::size_t shift : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const auto bytes = model(shift);
    const NamedFile file(bytes);
    OnnxFilesInUse in_use;
    auto contents = file.bytes();
    const auto in_place = WeightsInPlace::of(contents, in_use);
    ASSERT_TRUE(in_place);
    EXPECT_FALSE(WeightsInPlace::of(contents, in_use)) << "another model has it";
    const auto apart = open_in_place(bytes, in_place);
    EXPECT_EQ(answers(*apart, 64), answers(*whole, 64)) << "moved by " << shift;
    in_place->loaded(true);
    EXPECT_EQ(answers(*apart, 3), answers(*whole, 3)) << "while they are copied";
    EXPECT_TRUE(in_place->wait());
    // What is looked up stays where it is; what is multiplied by is prepacked.
    EXPECT_GT(apart->bytes_in_place(), static_cast<std::uint64_t>(kRows) * 16);
    EXPECT_TRUE(private_mappings(contents.bytes().data()).empty());
    contents = {};
    file.cut_off();  // would end this process with SIGBUS
    EXPECT_EQ(answers(*apart, 64), answers(*whole, 64)) << "moved by " << shift;
  }
}

TEST(OnnxInPlace, InPlaceOnlyWhatHasANameAndForOneModelAtATime) {
  OnnxFilesInUse in_use;
  const NamedFile file("bytes");
  auto first = WeightsInPlace::of(file.bytes(), in_use);
  EXPECT_TRUE(first);
  EXPECT_FALSE(WeightsInPlace::of(file.bytes(), in_use));
  first.reset();
  EXPECT_TRUE(WeightsInPlace::of(file.bytes(), in_use));
  EXPECT_FALSE(WeightsInPlace::of(*FileBytes::copy(file.fd(), "it"), in_use)) << "sealed memory";
  EXPECT_FALSE(WeightsInPlace::of(FileBytes(), in_use)) << "an empty file";
}

// The engine's own way to them, and its end while they are still copied.
TEST(OnnxInPlace, TheEngineUsesLargeModelsOfTheCacheInPlace) {
  const auto bytes = large("w");
  const NamedFile file(bytes);
  const auto engine = make_onnx();
  for (const bool trial : {true, false, false}) {
    LoadOptions options;
    options.trial = trial;
    auto model = engine->load({"model.onnx", file.bytes(), nullptr}, options);
    ASSERT_TRUE(model);
    EXPECT_GE((*model)->bytes_in_place(), std::uint64_t{20} << 20);
    const auto beside = engine->load({"model.onnx", file.bytes(), nullptr}, options);
    ASSERT_TRUE(beside);
    EXPECT_EQ((*beside)->bytes_in_place(), 0U) << "the file is another model's";
  }
}

}  // namespace
}  // namespace sluice::engines
