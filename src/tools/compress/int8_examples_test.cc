// The int8 methods on the example models: their answers to the rows of examples/golden stay.
#include <nlohmann/json.hpp>

#include "tools/compress/testing/int8_models.h"

namespace sluice::tools::compress {
namespace {

using nlohmann::json;

struct Rows {
  std::vector<float> features;
  std::vector<std::size_t> predictions;
};

Rows golden_rows(const std::string& name) {
  Rows out;
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/examples/golden/" + name);
  for (std::string line; std::getline(file, line);) {
    const auto row = json::parse(line);
    for (const auto& value : row["features"]) out.features.push_back(value);
    out.predictions.push_back(row["prediction"]);
  }
  return out;
}

class Int8Examples : public CompressTest {
 protected:
  // Of the golden rows, on how many the model that `method` makes answers as the original did when
  // it was trained.
  std::size_t agreeing(const std::string& model, const std::string& golden, Dims dims,
                       std::string_view method, const Node& given = {}) {
    const auto rows = golden_rows(golden);
    dims[0] = static_cast<std::int64_t>(rows.predictions.size());
    EXPECT_EQ(rows.predictions.size(), 120U);
    const auto view = view_of(rows.features, dims);
    Dataset calibration;
    calibration.add({&view, 1}, rows.predictions.size());
    const auto from = std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/models" / model;
    const auto made = make(method, from, given, &calibration);
    EXPECT_TRUE(made) << made.error().message;
    if (!made) return 0;
    made_ = *made;
    const auto out = answers(made->file, view);
    const std::size_t classes = out.size() / rows.predictions.size();
    std::size_t agree = 0;
    for (std::size_t i = 0; i < rows.predictions.size(); ++i) {
      const auto row = std::span(out).subspan(i * classes, classes);
      const auto best = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
      agree += best == rows.predictions[i] ? 1 : 0;
    }
    return agree;
  }

  Made made_;
};

const std::string kDigits = "digits/1/model.onnx";
const std::string kCancer = "breast_cancer/v1/model.onnx";

TEST_F(Int8Examples, DigitsByEveryCalibration) {
  for (const auto* calibration : {"min-max", "percentile", "entropy"}) {
    EXPECT_GE(agreeing(kDigits, "digits.1.jsonl", {0, 1, 8, 8}, "static-int8",
                       settings({{"calibration", calibration}})),
              119U)
        << calibration << made_.details;
  }
  EXPECT_EQ(operators(made_.file)["Relu"], 0);
  EXPECT_LT(std::filesystem::file_size(made_.file), 20'000U) << "of 41 kB";
}

TEST_F(Int8Examples, DigitsDynamic) {
  EXPECT_GE(agreeing(kDigits, "digits.1.jsonl", {0, 1, 8, 8}, "dynamic-int8"), 119U);
}

// Its features are from thousandths to thousands: one scale for all of them leaves nothing of the
// small ones, which the nodes' own errors show.
TEST_F(Int8Examples, BreastCancer) {
  EXPECT_GE(agreeing(kCancer, "breast_cancer.v1.jsonl", {0, 30}, "static-int8"), 119U)
      << made_.details;
  EXPECT_TRUE(made_.details["layers"][0]["skipped"]) << made_.details;
}

TEST_F(Int8Examples, BreastCancerDynamic) {
  EXPECT_GE(agreeing(kCancer, "breast_cancer.v1.jsonl", {0, 30}, "dynamic-int8"), 119U)
      << made_.details;
  EXPECT_EQ(operators(made_.file).at("MatMulInteger"), 1);
  EXPECT_GT(made_.details["errors"]["layer0"], 0.1) << made_.details;
  // Without rows the weights tell.
  const auto made =
      make("dynamic-int8", std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/models" / kCancer);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(operators(made->file).at("MatMulInteger"), 1);
  const auto rows = golden_rows("breast_cancer.v1.jsonl");
  const auto view = view_of(rows.features, {120, 30});
  Dataset calibration;
  calibration.add({&view, 1}, 120);
  const auto none =
      make("dynamic-int8", std::filesystem::path(SLUICE_SOURCE_DIR) / "examples/models" / kCancer,
           settings({{"max_node_error", "0"}}), &calibration);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message.find("2 of 2 products stay in FP32"), std::string::npos)
      << none.error().message;
  // Where that is not wanted, it shows.
  EXPECT_LT(agreeing(kCancer, "breast_cancer.v1.jsonl", {0, 30}, "dynamic-int8",
                     settings({{"max_node_error", "1000"}})),
            110U);
}

}  // namespace
}  // namespace sluice::tools::compress
