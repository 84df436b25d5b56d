#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "engines/builtin.h"
#include "repository/hosted_version.h"

// In a fresh process, as the tests of probe_test.cc and for the same reasons.
namespace sluice::repository {
namespace {

namespace fs = std::filesystem;

constexpr int kFine = 17;
bool g_wrong = false;

void check(bool fine, const std::string& what) {
  if (fine) return;
  std::cerr << what << "\n";
  g_wrong = true;
}

// Rows of random numbers for a model that takes only those; else nothing.
std::vector<TensorView> some_inputs(const Signature& signature, std::int64_t rows, Arena& arena) {
  static std::mt19937 random(5);  // NOLINT(cert-msc51-cpp): the same each time
  std::vector<TensorView> out;
  for (const auto& spec : signature.inputs) {
    if (spec.dtype != DType::kFloat32) return {};
    TensorView x;
    for (const auto dim : spec.dims) x.shape.push(dim == -1 ? rows : dim);
    const auto values = arena.array<float>(*element_count(x.shape.dims()));
    std::ranges::generate(values,
                          [&] { return std::uniform_real_distribution<float>(-3, 3)(random); });
    x.data = std::as_bytes(values);
    out.push_back(x);
  }
  return out;
}

bool same(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && std::ranges::equal(a.data, b.data) &&
         std::ranges::equal(a.strings, b.strings);
}

// Answers how many outputs were the same.
int compare(const Probe& probe, const std::string& engine, const Model& here,
            const ModelFile& file) {
  const HostedFile hosted{[&]() -> Result<ModelFile> { return file; },
                          FileIdentity::of(file),
                          {engine, {}, 2, nullptr}};
  const auto there = make_version_host(probe, hosted)->host(here.signature(), {});
  check(there->ready().has_value(), file.name + " is hosted");
  int compared = 0;
  for (const std::int64_t rows : {1, 3, 64}) {
    Arena arena;
    const auto inputs = some_inputs(here.signature(), rows, arena);
    if (inputs.empty()) break;
    std::vector<TensorView> mine(here.signature().outputs.size());
    std::vector<TensorView> other(mine.size());
    const bool ran = here.run(inputs, mine, arena).has_value();
    check(ran == there->run(inputs, other, arena).has_value(), file.name + " runs");
    for (std::size_t i = 0; ran && i < mine.size(); ++i) {
      check(same(mine[i], other[i]), file.name + " answers otherwise");
      compared += same(mine[i], other[i]) ? 1 : 0;
    }
  }
  return compared;
}

// The examples, by all engines that are not processes already.
[[noreturn]] void same_answers() noexcept {
  {
    const auto engines = [](Registry<Engine>& all) { engines::register_builtin(all, {}); };
    const auto probe = *Probe::start(engines);
    Registry<Engine> here;
    engines(here);
    int compared = 0;
    const auto examples = fs::path(SLUICE_SOURCE_DIR) / "examples/models";
    for (const auto& entry : fs::recursive_directory_iterator(examples)) {
      if (!entry.is_regular_file()) continue;
      ModelFile file;
      file.name = entry.path().filename();
      file.directory = std::make_shared<const Fd>(*open_directory(entry.path().parent_path()));
      file.contents = *FileBytes::copy(*open_beneath(*file.directory, file.name), "the model file");
      for (const auto& [name, engine] : here.items()) {
        if (!engine->accepts(file) || engine->isolated()) continue;
        const auto local = engine->load(file, {});
        if (local) compared += compare(*probe, name, **local, file);
      }
    }
    check(compared >= 10, "only " + std::to_string(compared) + " outputs were compared");
    std::cerr << "compared " << compared << " outputs\n";
  }
  std::exit(g_wrong ? 1 : kFine);
}

TEST(HostedAnswersDeathTest, AreTheSameBits) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(same_answers(), testing::ExitedWithCode(kFine), "compared");
}

}  // namespace
}  // namespace sluice::repository
