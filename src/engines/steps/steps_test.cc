// Each kind of step against what NumPy and scikit-learn answer, and what it refuses. End to end
// they are compared with those libraries themselves: tests/e2e/pipelines.py.

#include <cmath>
#include <limits>

#include "engines/steps/testing/step_fixture.h"

namespace sluice::engines {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_F(Steps, StandardiseTakesOffTheMeanAndDivides) {
  const auto x = floats({2, 2}, {1, 10, 3, 30});
  EXPECT_EQ(values<float>("standardise", "{mean: [1, 20], scale: [2, 5]}", {x}),
            (Floats{0, -2, 1, 2}));
  EXPECT_EQ(values<float>("standardise", "{mean: [1, 20]}", {x}), (Floats{0, -10, 2, 10}));
  EXPECT_EQ(values<float>("standardise", "{scale: [2, 5]}", {x}), (Floats{0.5, 2, 1.5, 6}));
  write("s.json", R"({"mean": [1, 20], "scale": [2, 5]})");
  EXPECT_EQ(values<float>("standardise", "{file: s.json}", {x}), (Floats{0, -2, 1, 2}));
  write("s.csv", "column,mean,scale\r\na,1,2\r\nb,20,5\r\n");
  EXPECT_EQ(values<float>("standardise", "{file: s.csv}", {x}), (Floats{0, -2, 1, 2}));
  for (const auto* csv :
       {"\xEF\xBB\xBFmean,scale\n1,2\n20,5\n", ",\"mean\",scale\na,1,2\nb,20,5\n"}) {
    write("s.csv", csv);  // with a mark of UTF-8; as pandas and R write them
    EXPECT_EQ(values<float>("standardise", "{file: s.csv}", {x}), (Floats{0, -2, 1, 2}));
  }
  const auto exact = tensor<double>(DType::kFloat64, {1, 2}, {0.1, 0.2});
  EXPECT_EQ(values<double>("standardise", "{mean: [0.1, 0], scale: [1, 0.2]}", {exact}),
            (std::vector<double>{0, 1}));
  const auto whole = tensor<std::int64_t>(DType::kInt64, {1, 2}, {3, 40});
  EXPECT_EQ(values<float>("standardise", "{mean: [1, 20], scale: [2, 5]}", {whole}),
            (Floats{1, 4}));
}

TEST_F(Steps, StandardiseRefusesNumbersThatDoNotGoTogether) {
  EXPECT_EQ(refused("standardise", "{}"),
            "p:1:1: standardise needs mean, scale or both, or a file");
  EXPECT_EQ(refused("standardise", "{mean: [1], scale: [1, 2]}"),
            "p:1:1: standardise has 1 means and 2 scales; there must be one of each for a column");
  EXPECT_EQ(refused("standardise", "{scale: [1, 0]}"),
            "p:1:1: scale 1 is 0 or no number: it cannot be divided by");
  EXPECT_EQ(refused("standardise", "{mean: [1], scal: [1]}"),
            "p:1:13: unknown key 'scal'; did you mean 'scale'?");
  EXPECT_EQ(
      refused("standardise", "{file: none.json}"),
      "the file 'none.json' cannot be opened: there is none of this name; steps use files that "
      "lie in the version's own directory or below it");
  EXPECT_EQ(
      refused("standardise", "{file: ../s.json}"),
      "the file '../s.json' cannot be opened: it leads outside its directory; steps use files "
      "that lie in the version's own directory or below it");
  EXPECT_EQ(refused("standardise", "{file: /home/bob/secret/s.json}"),
            "its file has an absolute path; steps use files of the version's own directory: put it "
            "there, and write its name from there");
  write("s.json", "{\"mean\": [1, \"a\"]}");
  EXPECT_EQ(refused("standardise", "{file: s.json}"),
            "the file 's.json' cannot be used: 'mean' must be a list of numbers");
  const auto file = [&](const std::string& name, const std::string& text) {
    write(name, text);
    const auto said = refused("standardise", "{file: " + name + "}");
    const auto begin = "the file '" + name + "' cannot be used: ";
    return said.starts_with(begin) ? said.substr(begin.size()) : "?" + said;
  };
  const std::string known = "'; known are mean, scale and, for names that are not used, column";
  EXPECT_EQ(file("s.csv", "mean,std\n1,2\n"), "its first line has a column 'std" + known);
  EXPECT_EQ(file("s.csv", "Mean,scale\n1,2\n"),
            "its first line has a column 'Mean" + known + "; did you mean 'mean'?");
  EXPECT_EQ(file("s.csv", "mean,scale,mean\n1,2,3\n"), "its first line has 'mean' twice");
  EXPECT_EQ(file("s.csv", "mean,scale\n1,2,3\n"), "line 2 has more columns than the first line");
  EXPECT_EQ(file("s.csv", ""), "it has neither mean nor scale");
  EXPECT_EQ(file("s.csv", "mean,scale\n1,0\n"),
            "scale 0 is 0 or no number: it cannot be divided by");
  EXPECT_EQ(file("s.json", R"({"mean_": [1], "scale": [1]})"),
            "unknown key 'mean_'; did you mean 'mean'?");
  EXPECT_EQ(file("s.json", R"({"mean": [1], "mean": [2]})"), "key 'mean' is given twice");
  EXPECT_EQ(file("s.json", "{\"scale\": [1],\n\"mean\": [NaN]}"),
            "it is no JSON from line 2, column 10 on: 'NaN]}'; NaN and infinity are none, either");
  EXPECT_EQ(file("s.json", "{\"scale\": [1"), "it is no JSON: it ends too early");
  EXPECT_EQ(file("s.json", "{}"), "it has neither mean nor scale");
  write("s.csv", "mean,scale\n1,2\n3,\n");
  EXPECT_EQ(refused("standardise", "{file: s.csv}"),
            "the file 's.csv' cannot be used: line 3 has no number");
  EXPECT_EQ(not_bound("standardise", "{mean: [1, 2]}", {edge(DType::kFloat32, {-1, 3})}),
            "it has numbers for 2 columns, but 'in' has shape [N,3]");
  EXPECT_EQ(not_bound("standardise", "{mean: [1, 2]}", {edge(DType::kString, {-1, 2})}),
            "it takes numbers, but 'in' is BYTES");
}

TEST_F(Steps, OneHotPutsAOneIntoTheCategorysColumn) {
  EXPECT_EQ(values<float>("one_hot", "{categories: [red, green]}",
                          {texts({3, 1}, {"green", "red", "green"})}),
            (Floats{0, 1, 1, 0, 0, 1}));
  EXPECT_EQ(values<float>("one_hot", "{categories: [[a, b], [x]], unknown: zeros}",
                          {texts({2, 2}, {"b", "x", "c", "y"})}),
            (Floats{0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(values<float>("one_hot", "{categories: [7, 2, -1]}",
                          {tensor<std::int64_t>(DType::kInt64, {3}, {2, -1, 7})}),
            (Floats{0, 1, 0, 0, 0, 1, 1, 0, 0}));
  EXPECT_EQ(values<float>("one_hot", "{categories: [0.5, 2]}", {floats({2, 1}, {2, 0.5})}),
            (Floats{0, 1, 1, 0}));
  EXPECT_EQ(values<float>("one_hot", "{categories: [0.1, 0.3]}", {floats({1, 1}, {0.3F})}),
            (Floats{0, 1}));
}

TEST_F(Steps, OneHotReadsWhatItsCategoriesAreWrittenAs) {
  const auto type = [&](const std::string& categories) {
    return make("one_hot", "{categories: " + categories + "}")->expects(0)->spec.dtype;
  };
  EXPECT_EQ(type("[1, 2]"), DType::kInt64);
  EXPECT_EQ(type("[0.5, 2]"), DType::kFloat32);
  EXPECT_EQ(type("[1, red]"), DType::kString);
  EXPECT_EQ(type("['01', '02']"), DType::kString);
  EXPECT_EQ(type("[[1, 2], ['3']]"), DType::kString);
}

TEST_F(Steps, OneHotSaysWhichCategoryItDoesNotKnow) {
  const auto step = make("one_hot", "{categories: [[a, b], [x]]}");
  const auto out = run(*step, {texts({2, 2}, {"b", "x", "a", "y"})});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, Code::kInvalidArgument);
  EXPECT_EQ(out.error().message, "row 1: 'y' is none of the 1 categories of column 1");
  const auto nan = make("one_hot", "{categories: [1]}");
  EXPECT_FALSE(run(*nan, {floats({1, 1}, {kNan})}));
  // What 2^53 and 2^53 + 1 are as doubles must not be mistaken for each other.
  const auto large = make("one_hot", "{categories: [9007199254740992]}");
  EXPECT_FALSE(large->bind(std::vector<Edge>{edge(DType::kInt64, {-1, 1})}));
  EXPECT_EQ(refused("one_hot", "{categories: [a, a]}"), "p:1:1: category 'a' is listed twice");
  EXPECT_EQ(refused("one_hot", "{}"),
            "p:1:1: one_hot needs categories, such as one_hot: [red, green, blue]");
  EXPECT_EQ(refused("one_hot", "{categories: [a], unknown: drop}"),
            "p:1:28: 'drop' is not one of the choices: error | zeros");
  EXPECT_EQ(not_bound("one_hot", "{categories: [a, b]}", {edge(DType::kString, {-1, 2})}),
            "it has categories for 1 column, but 'in' has shape [N,2]");
  EXPECT_EQ(not_bound("one_hot", "{categories: [a]}", {edge(DType::kFloat32, {-1, 1})}),
            "its input has numbers, but category 'a' is none below 2^53");
}

TEST_F(Steps, OneHotWillNotMakeTensorsOfAnySize) {
  std::string many = "{unknown: zeros, categories: [";
  for (int i = 0; i < 5000; ++i) many += std::to_string(i) + ",";
  const auto step = make("one_hot", many + "x]}");
  ASSERT_NE(step, nullptr) << refusal_;
  const auto out = run(*step, {texts({10000, 1}, std::vector<std::string>(10000, ""))});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().reason, "too_large");
}

TEST_F(Steps, ArgmaxIsNumPys) {
  const auto x = floats({3, 3}, {1, 3, 2, 5, 5, 4, -1, kNan, 7});
  EXPECT_EQ(values<std::int64_t>("argmax", "", {x}), (Ints{1, 0, 1}));
  // numpy.argmax(y, axis=1) and along the last axis.
  const auto y = floats({1, 2, 3}, {1, 9, 3, 4, 5, 6});
  EXPECT_EQ(values<std::int64_t>("argmax", "{axis: 1}", {y}), (Ints{1, 0, 1}));
  EXPECT_EQ(values<std::int64_t>("argmax", "{axis: -1}", {y}), (Ints{1, 2}));
  EXPECT_EQ(not_bound("argmax", "{axis: 0}", {edge(DType::kFloat32, {-1, 3})}),
            "axis 0 is that of the rows, which stay apart; its input has 2 dimensions; write 1 to "
            "1, or -1 for the last");
  EXPECT_EQ(not_bound("argmax", "", {edge(DType::kFloat32, {-1})}),
            "axis -1 is that of the rows, which stay apart; its input has 1 dimension and needs "
            "two");
}

TEST_F(Steps, ArgmaxAndThresholdSayPlacesWhateverClassesAreCalled) {
  Signature numbers;
  numbers.classes = {"7", "2"};
  for (const auto* step : {"argmax", "threshold"}) {
    auto x = edge(DType::kFloat32, {-1, step == std::string("argmax") ? 2 : 1});
    x.spec.role = Role::kProbabilities;
    x.classes = &numbers;
    const auto out =
        (*make(step, step == std::string("argmax") ? "" : "{at: 0.5}")->bind({&x, 1}))[0];
    EXPECT_EQ(out.spec.role, Role::kLabel) << step;
    EXPECT_EQ(out.classes, &numbers) << step;
    EXPECT_TRUE(out.spec.says_places) << step;
  }
}

// What is only not a number would be the first class, and be sure of it.
TEST_F(Steps, OfScoresThatAreNoNumbersThereIsNoClass) {
  for (const auto* step : {"argmax", "threshold"}) {
    const bool greatest = step == std::string("argmax");
    auto x = edge(DType::kFloat32, {-1, greatest ? 2 : 1});
    x.spec.role = Role::kProbabilities;
    const auto made = make(step, greatest ? "" : "{at: 0.5}");
    ASSERT_TRUE(made->bind({&x, 1}));
    const auto scores = greatest ? floats({2, 2}, {1, 0, 1, kNan}) : floats({2, 1}, {1, kNan});
    TensorView out;
    Arena arena;
    const auto ran = made->run({&scores, 1}, {&out, 1}, arena);
    ASSERT_FALSE(ran) << step;
    EXPECT_EQ(ran.error().reason, "not_a_number");
    EXPECT_TRUE(ran.error().message.starts_with("row 1: ")) << ran.error().message;
  }
}

TEST_F(Steps, OneColumnIsNotComparedWithItself) {
  const auto one = edge(DType::kFloat32, {-1, 1});
  const std::string advice =
      ", but 'in' is [N,1]; the class of one probability is threshold: 0.5, that of one raw score "
      "threshold: 0; for the probability of a raw score leave this step out and write output: "
      "{probabilities: …, activation: sigmoid} in model.yaml";
  EXPECT_EQ(not_bound("argmax", "", {one}), "the largest of one value is always place 0" + advice);
  EXPECT_EQ(not_bound("softmax", "", {one}), "softmax of one value is always 1" + advice);
}

TEST_F(Steps, ThresholdIsAboveNotAt) {
  EXPECT_EQ(
      values<std::int64_t>("threshold", "{at: 0.5}", {floats({5, 1}, {0.5, 0.51F, 0.49F, 0, 1})}),
      (Ints{0, 1, 0, 0, 1}));
  EXPECT_EQ(values<std::int64_t>("threshold", "{at: 0.5}", {floats({1, 2}, {kNan, 1})}),
            (Ints{0, 1}));
  // As NumPy compares float32 with 0.1, which is another number there.
  EXPECT_EQ(values<std::int64_t>("threshold", "{at: 0.1}", {floats({1, 1}, {0.1F})}), Ints{0});
  EXPECT_EQ(values<std::int64_t>("threshold", "{at: 0.1}",
                                 {tensor<double>(DType::kFloat64, {1, 1}, {0.1000001})}),
            Ints{1});
  EXPECT_EQ(refused("threshold", "{}"), "p:1:1: threshold needs a number, such as threshold: 0.5");
  EXPECT_EQ(refused("threshold", "{at: high}"), "p:1:6: 'high' is not a finite number");
}

TEST_F(Steps, SoftmaxSumsToOneAndDoesNotOverflow) {
  const auto out = values<float>("softmax", "", {floats({2, 3}, {1, 2, 3, 1000, 1000, -1000})});
  const Floats expected = {0.09003057F, 0.24472847F, 0.66524096F, 0.5F, 0.5F, 0};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(out[i], expected[i], 1e-7);
  const auto along = values<float>("softmax", "{axis: 1}", {floats({1, 2, 2}, {0, 1, 0, 3})});
  EXPECT_NEAR(along[0], 0.5, 1e-7);
  EXPECT_NEAR(along[1], 0.11920292, 1e-7);
}

TEST_F(Steps, CastCutsOffFractionsAndNeverWraps) {
  EXPECT_EQ(values<std::int64_t>("cast", "{to: INT64}", {floats({1, 3}, {1.9F, -1.9F, 7})}),
            (Ints{1, -1, 7}));
  EXPECT_EQ(
      values<float>("cast", "{to: FP32}", {tensor<std::int64_t>(DType::kInt64, {1, 2}, {3, -4})}),
      (Floats{3, -4}));
  EXPECT_EQ(values<std::uint8_t>("cast", "{to: BOOL}", {floats({1, 3}, {0, -0.5F, kNan})}),
            (std::vector<std::uint8_t>{0, 1, 1}));
  EXPECT_EQ(values<std::uint16_t>("cast", "{to: FP16}", {floats({1, 2}, {1, -2})}),
            (std::vector<std::uint16_t>{0x3C00, 0xC000}));
  constexpr std::int64_t kLarge = (std::int64_t{1} << 53) + 1;  // no double
  EXPECT_EQ(values<std::uint64_t>("cast", "{to: UINT64}",
                                  {tensor<std::int64_t>(DType::kInt64, {1, 1}, {kLarge})}),
            (std::vector<std::uint64_t>{kLarge}));
  const auto fails = [&](const char* to, const TensorView& x) {
    const auto step = make("cast", "{to: " + std::string(to) + "}");
    const auto out = run(*step, {x});
    return out ? "" : out.error().message;
  };
  EXPECT_EQ(fails("UINT8", floats({1, 1}, {256})), "256 does not fit UINT8");
  EXPECT_EQ(fails("UINT8", floats({1, 1}, {-0.5F})), "");  // cut off to 0
  EXPECT_EQ(fails("INT64", floats({1, 1}, {kNan})), "nan does not fit INT64");
  EXPECT_EQ(fails("INT64", floats({1, 1}, {9223372036854775808.0F})),
            "9.22337e+18 does not fit INT64");
  EXPECT_EQ(fails("INT64", floats({1, 1}, {-9223372036854775808.0F})), "");
  EXPECT_EQ(fails("UINT64", tensor<std::int64_t>(DType::kInt64, {1, 1}, {-1})),
            "-1 does not fit UINT64");
  EXPECT_EQ(fails("UINT8", floats({3, 2}, {1, 2, 3, 300, 5, 6})), "row 1: 300 does not fit UINT8");
  EXPECT_EQ(fails("FP32", tensor<double>(DType::kFloat64, {1, 1}, {1e300})),
            "1e+300 does not fit FP32");
  EXPECT_EQ(fails("FP16", floats({1, 1}, {70000})), "70000 does not fit FP16");
  EXPECT_EQ(fails("FP16", floats({1, 2}, {INFINITY, kNan})), "");  // what it is already
  EXPECT_EQ(refused("cast", "{to: BYTES}"),
            "p:1:1: cast needs a numeric type, such as cast: FP32; 'BYTES' is none");
}

TEST_F(Steps, ConcatPutsColumnsBesideEachOther) {
  EXPECT_EQ(values<float>("concat", "", {floats({2, 1}, {1, 2}), floats({2, 2}, {3, 4, 5, 6})}),
            (Floats{1, 3, 4, 2, 5, 6}));
  const auto step = make("concat", "", 2);
  const auto out = run(*step, {texts({2, 1}, {"a", "b"}), texts({2, 1}, {"c", "d"})});
  ASSERT_TRUE(out);
  EXPECT_TRUE(std::ranges::equal(out->at(0).strings, std::vector<std::string>{"a", "c", "b", "d"}));
  EXPECT_EQ(not_bound("concat", "", {edge(DType::kFloat32, {-1, 2}), edge(DType::kInt64, {-1, 2})}),
            "'in' (FP32 [N,2]) and 'in' (INT64 [N,2]) cannot stand beside each other: types and "
            "all dimensions but the last must be equal; a step `cast` changes a type");
  EXPECT_EQ(refused("concat", "", 0),
            "p:1:1: concat needs a list of 1 to 256 inputs, such as inputs: [scaled, city]");
}

TEST_F(Steps, SelectTakesColumnsInTheOrderOfTheList) {
  const auto x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(values<float>("select", "{columns: [2, 0]}", {x}), (Floats{3, 1, 6, 4}));
  const auto step = make("select", "{columns: [b, a]}");
  auto table = edge(DType::kFloat32, {-1, 3});
  table.columns = {"a", "b", "c"};
  const auto bound = step->bind({&table, 1});
  ASSERT_TRUE(bound);
  EXPECT_EQ((*bound)[0].columns, (std::vector<std::string>{"b", "a"}));
  const auto wrong = make("select", "{columns: [cc]}");
  EXPECT_EQ(wrong->bind({&table, 1}).error().message, "'in' has no column 'cc'; did you mean 'c'?");
  EXPECT_EQ(not_bound("select", "{columns: [3]}", {edge(DType::kFloat32, {-1, 3})}),
            "'in' has no column '3'; its columns have no names, only the places 0 to 2");
  EXPECT_EQ(refused("select", "{}"),
            "p:1:1: select needs a list of columns, such as select: [0, 2]");
}

}  // namespace
}  // namespace sluice::engines
