// One suite for every engine that is registered. Which files it runs on is said in
// tests/models/conformance/<engine>.txt, lines of "good FILE" and "bad FILE"; a new engine adds
// such a list and nothing here. Where make_<engine>.py stands beside the list, it makes the files.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "engines/builtin.h"

namespace sluice::engines {
namespace {

const std::string kModels = std::string(SLUICE_SOURCE_DIR) + "/tests/models/";

Registry<Engine>& engines() {
  static Registry<Engine> registry;
  if (registry.items().empty()) register_builtin(registry);
  return registry;
}

std::vector<std::string> listed(const std::string& engine, const std::string& kind) {
  std::ifstream file(kModels + "conformance/" + engine + ".txt");
  std::vector<std::string> out;
  std::string word;
  std::string name;
  while (file >> word >> name) {
    if (word == kind) out.push_back(name);
  }
  return out;
}

// Where the engine's files are; made once, where they are made.
std::string folder_of(const std::string& engine) {
  const auto maker = kModels + "conformance/make_" + engine + ".py";
  if (!std::filesystem::exists(maker)) return kModels;
  static std::map<std::string, std::string> made;
  auto& folder = made[engine];
  if (folder.empty()) {
    folder = testing::TempDir() + "conformance_" + engine + "_" + std::to_string(::getpid()) + "/";
    std::filesystem::create_directories(folder);
    const auto command = "/usr/bin/python3 '" + maker + "' '" + folder + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }
  return folder;
}

ModelFile open_model(const std::string& engine, const std::string& name) {
  auto directory = open_directory(folder_of(engine));
  auto fd = open_beneath(*directory, name);
  EXPECT_TRUE(fd) << name;
  ModelFile file;
  file.name = name;
  file.contents = *FileBytes::copy(*fd, "the model file");
  file.directory = std::make_shared<const Fd>(std::move(*directory));
  return file;
}

// Small different numbers, so that rows can be told apart.
TensorView sample(const TensorSpec& spec, std::int64_t rows, std::int64_t first_row, Arena& arena) {
  TensorView out;
  out.dtype = spec.dtype;
  std::size_t width = 1;
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    out.shape.push(i == 0 ? rows : std::max<std::int64_t>(spec.dims[i], 1));
    if (i > 0) width *= static_cast<std::size_t>(out.shape[i]);
  }
  const std::size_t count = width * static_cast<std::size_t>(rows);
  const auto base = static_cast<std::size_t>(first_row) * width;
  if (spec.dtype == DType::kString) {
    auto strings = arena.array<std::string_view>(count);
    for (std::size_t i = 0; i < count; ++i) strings[i] = arena.copy("s" + std::to_string(base + i));
    out.strings = strings;
    return out;
  }
  auto bytes = arena.array<std::byte>(count * size_of(spec.dtype));
  std::ranges::fill(bytes, std::byte{0});
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = (base + i) % 7 + 1;
    if (spec.dtype == DType::kFloat32) {
      reinterpret_cast<float*>(bytes.data())[i] = static_cast<float>(value);
    } else if (spec.dtype == DType::kFloat16) {
      reinterpret_cast<std::uint16_t*>(bytes.data())[i] =
          static_cast<std::uint16_t>(0x3C00 + value);
    } else {
      bytes[i * size_of(spec.dtype)] =
          std::byte{static_cast<unsigned char>(spec.dtype == DType::kBool ? value % 2 : value)};
    }
  }
  out.data = bytes;
  return out;
}

std::vector<TensorView> inputs_for(const Signature& signature, std::int64_t rows,
                                   std::int64_t first_row, Arena& arena) {
  std::vector<TensorView> out;
  for (const auto& spec : signature.inputs) out.push_back(sample(spec, rows, first_row, arena));
  return out;
}

std::vector<TensorView> run(const Model& model, const std::vector<TensorView>& inputs,
                            Arena& arena) {
  std::vector<TensorView> outputs(model.signature().outputs.size());
  const auto ran = model.run(inputs, outputs, arena);
  EXPECT_TRUE(ran) << (ran ? "" : ran.error().message);
  return outputs;
}

bool same(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::ranges::equal(a.strings, b.strings) &&
         std::ranges::equal(a.data, b.data);
}

// Row `row` of `all` is `one`, to the rounding that a different batch size may bring.
bool is_row(const TensorView& all, std::size_t row, const TensorView& one) {
  const std::size_t width = one.elements();
  for (std::size_t i = 0; i < width; ++i) {
    if (all.dtype == DType::kString) {
      if (all.strings[row * width + i] != one.strings[i]) return false;
    } else if (std::abs(number_at(all, row * width + i) - number_at(one, i)) > 1e-5) {
      return false;
    }
  }
  return true;
}

class Conformance : public testing::TestWithParam<std::string> {
 protected:
  const Engine& engine() const { return *engines().find(GetParam()); }
  std::unique_ptr<Model> load(const std::string& file) const {
    auto model = engine().load(open_model(GetParam(), file), {});
    EXPECT_TRUE(model) << file << ": " << (model ? "" : model.error().message);
    return model ? std::move(*model) : nullptr;
  }
};

TEST_P(Conformance, HasFilesToBeTestedWith) {
  EXPECT_FALSE(listed(GetParam(), "good").empty())
      << "write tests/models/conformance/" << GetParam() << ".txt";
  EXPECT_FALSE(listed(GetParam(), "bad").empty());
  EXPECT_FALSE(engine().extensions().empty());
}

TEST_P(Conformance, OutputsAreWhatTheSignatureSays) {
  for (const auto& file : listed(GetParam(), "good")) {
    SCOPED_TRACE(file);
    EXPECT_TRUE(engine().accepts(open_model(GetParam(), file)));
    const auto model = load(file);
    ASSERT_NE(model, nullptr);
    const auto& signature = model->signature();
    ASSERT_FALSE(signature.inputs.empty());
    ASSERT_FALSE(signature.outputs.empty());
    EXPECT_FALSE(model->facts().empty());
    Arena arena;
    const auto outputs = run(*model, inputs_for(signature, 3, 0, arena), arena);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      EXPECT_EQ(outputs[i].dtype, signature.outputs[i].dtype);
      EXPECT_TRUE(signature.outputs[i].fits(outputs[i].shape)) << signature.outputs[i].name;
      EXPECT_EQ(outputs[i].elements(), *element_count(outputs[i].shape.dims()));
    }
  }
}

TEST_P(Conformance, RowsOfABatchAnswerAsAlone) {
  for (const auto& file : listed(GetParam(), "good")) {
    SCOPED_TRACE(file);
    const auto model = load(file);
    ASSERT_NE(model, nullptr);
    ASSERT_TRUE(model->signature().batchable());
    Arena arena;
    const auto all = run(*model, inputs_for(model->signature(), 5, 0, arena), arena);
    for (std::int64_t row = 0; row < 5; ++row) {
      const auto one = run(*model, inputs_for(model->signature(), 1, row, arena), arena);
      for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(is_row(all[i], static_cast<std::size_t>(row), one[i])) << row;
      }
    }
  }
}

TEST_P(Conformance, ManyThreadsGetTheSameAnswers) {
  for (const auto& file : listed(GetParam(), "good")) {
    SCOPED_TRACE(file);
    const auto model = load(file);
    ASSERT_NE(model, nullptr);
    if (!model->thread_safe()) continue;
    Arena arena;
    const auto inputs = inputs_for(model->signature(), 2, 0, arena);
    const auto expected = run(*model, inputs, arena);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 50; ++i) {
          Arena own;
          const auto outputs = run(*model, inputs, own);
          for (std::size_t o = 0; o < outputs.size(); ++o) {
            if (!same(outputs[o], expected[o])) ++wrong;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST_P(Conformance, ExplainsEveryRowOrSaysThatItCannot) {
  for (const auto& file : listed(GetParam(), "good")) {
    SCOPED_TRACE(file);
    const auto model = load(file);
    ASSERT_NE(model, nullptr);
    Arena arena;
    const auto inputs = inputs_for(model->signature(), 3, 0, arena);
    const auto found = model->explain(inputs, arena);
    ASSERT_EQ(found.has_value(), model->explains());
    if (!found) {
      EXPECT_EQ(found.error().code, Code::kUnimplemented);
      continue;
    }
    EXPECT_EQ(found->rows, 3U);
    ASSERT_GT(found->groups, 0U);
    EXPECT_EQ(found->base.size(), found->groups);
    EXPECT_EQ(found->features, static_cast<std::size_t>(inputs[0].shape[1]));
    EXPECT_EQ(found->values.size(), 3 * found->groups * found->features);
    EXPECT_TRUE(std::ranges::all_of(found->values, [](double v) { return std::isfinite(v); }));
  }
}

TEST_P(Conformance, BadFilesAreRefusedInOneSentence) {
  for (const auto& file : listed(GetParam(), "bad")) {
    SCOPED_TRACE(file);
    const auto model = engine().load(open_model(GetParam(), file), {});
    ASSERT_FALSE(model);
    EXPECT_EQ(model.error().code, Code::kInvalidArgument);
    EXPECT_FALSE(model.error().message.empty());
    EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
    EXPECT_EQ(model.error().message.find('/'), std::string::npos) << model.error().message;
  }
}

TEST_P(Conformance, HalvesOfGoodFilesNeverCrash) {
  for (const auto& file : listed(GetParam(), "good")) {
    SCOPED_TRACE(file);
    const auto whole = open_model(GetParam(), file);
    const auto name = "half_" + std::to_string(::getpid()) + "_" + file;
    const auto path = testing::TempDir() + name;
    std::ofstream(path, std::ios::binary)
        .write(whole.contents.text().data(),
               static_cast<std::streamsize>(whole.contents.text().size() / 2));
    auto directory = open_directory(testing::TempDir());
    auto fd = open_beneath(*directory, name);
    ModelFile half;
    half.name = file;
    half.contents = *FileBytes::copy(*fd, "the model file");
    half.directory = std::make_shared<const Fd>(std::move(*directory));
    // Half a text may happen to be a whole model of its own; what is refused is told in a sentence.
    if (const auto model = engine().load(half, {}); !model) {
      EXPECT_EQ(model.error().message.find('\n'), std::string::npos);
    }
    std::remove(path.c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, Conformance, testing::ValuesIn(engines().names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace sluice::engines
