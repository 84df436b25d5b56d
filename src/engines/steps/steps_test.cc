// Each kind of step against what NumPy, scikit-learn and BERT's own tokenizer answer, and what it
// refuses. End to end they are compared with those libraries themselves: tests/e2e/pipelines.py.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "config/yaml.h"
#include "engines/steps/builtin.h"
#include "engines/steps/words.h"

namespace sluice::engines {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// A directory with files for steps, for one test.
class Steps : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "stepsXXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    directory_ = std::make_shared<const Fd>(std::move(*open_directory(path_)));
    register_steps(kinds_);
  }
  void TearDown() override { std::filesystem::remove_all(path_); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

  // Null where it is refused; `refusal_` says how.
  std::unique_ptr<Step> make(const std::string& kind, const std::string& yaml,
                             std::size_t inputs = 1) {
    Problems problems;
    const auto options = config::parse_yaml(yaml, problems);
    auto step = kinds_.find(kind)->make({*options, {1, 1}, inputs, directory_}, problems);
    refusal_.clear();
    if (!step) refusal_ = step.error().message;
    for (const auto& problem : problems) refusal_ += config::show_problem("p", problem);
    return step ? std::move(*step) : nullptr;
  }

  static Edge edge(DType dtype, std::vector<std::int64_t> dims) {
    Edge out;
    out.spec = {"in", dtype, std::move(dims), Role::kUnknown};
    return out;
  }

  template <class T>
  TensorView tensor(DType dtype, Shape shape, const std::vector<T>& values) {
    auto copy = arena_.array<T>(values.size());
    std::ranges::copy(values, copy.begin());
    return {dtype, shape, std::as_bytes(copy), {}};
  }
  TensorView floats(Shape shape, const std::vector<float>& values) {
    return tensor(DType::kFloat32, shape, values);
  }
  TensorView texts(Shape shape, const std::vector<std::string>& values) {
    auto out = arena_.array<std::string_view>(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) out[i] = arena_.copy(values[i]);
    return {DType::kString, shape, {}, out};
  }

  // Binds the step to inputs like these, with free rows, and runs it.
  Result<std::vector<TensorView>> run(Step& step, const std::vector<TensorView>& inputs) {
    std::vector<Edge> edges;
    for (const auto& input : inputs) {
      const auto dims = input.shape.dims();
      edges.push_back(edge(input.dtype, {dims.begin(), dims.end()}));
      edges.back().spec.dims[0] = -1;
    }
    SLUICE_TRY(const auto bound, step.bind(edges));
    std::vector<TensorView> out(step.outputs().size());
    SLUICE_CHECK(step.run(inputs, out, arena_));
    for (std::size_t i = 0; i < out.size(); ++i) {
      EXPECT_EQ(out[i].dtype, bound[i].spec.dtype);
      EXPECT_TRUE(bound[i].spec.fits(out[i].shape));
      EXPECT_EQ(out[i].elements(), *element_count(out[i].shape.dims()));
    }
    return out;
  }

  template <class T>
  std::vector<T> values(const std::string& kind, const std::string& yaml,
                        const std::vector<TensorView>& inputs) {
    const auto step = make(kind, yaml, inputs.size());
    EXPECT_NE(step, nullptr) << refusal_;
    if (!step) return {};
    const auto out = run(*step, inputs);
    EXPECT_TRUE(out) << (out ? "" : out.error().message);
    if (!out) return {};
    const auto span = out->at(0).template as<T>();
    return {span.begin(), span.end()};
  }

  std::string refused(const std::string& kind, const std::string& yaml, std::size_t inputs = 1) {
    EXPECT_EQ(make(kind, yaml, inputs), nullptr);
    return refusal_;
  }
  std::string not_bound(const std::string& kind, const std::string& yaml,
                        const std::vector<Edge>& edges) {
    const auto step = make(kind, yaml, edges.size());
    EXPECT_NE(step, nullptr) << refusal_;
    const auto bound = step->bind(edges);
    return bound ? "" : bound.error().message;
  }

  Arena arena_;
  std::filesystem::path path_;
  std::shared_ptr<const Fd> directory_;
  StepKinds kinds_;
  std::string refusal_;
};

using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

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
  EXPECT_EQ(refused("standardise", "{file: none.json}"),
            "the file 'none.json' cannot be opened; steps use files of the version's own "
            "directory, where there is none of this name");
  EXPECT_NE(refused("standardise", "{file: ../s.json}"), "");
  write("s.json", "{\"mean\": [1, \"a\"]}");
  EXPECT_EQ(refused("standardise", "{file: s.json}"),
            "the file 's.json' cannot be used: 'mean' must be a list of numbers");
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
}

TEST_F(Steps, OneHotSaysWhichCategoryItDoesNotKnow) {
  const auto step = make("one_hot", "{categories: [[a, b], [x]]}");
  const auto out = run(*step, {texts({2, 2}, {"b", "x", "a", "y"})});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, Code::kInvalidArgument);
  EXPECT_EQ(out.error().message, "'y' is none of the 1 categories of column 1");
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
            "its input has numbers, but category 'a' is none below 2^53 of its own");
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
  // numpy.argmax([[[1, 4], [3, 2]]], axis=1) is [[1, 0]], along the last axis [[1, 0]]; of
  // [[[1, 2], [3, 4]]] they differ: [[1, 1]] and [[1, 1]]; of [[[5, 2], [3, 4]]]: [[0, 1]], [[0,
  // 1]]. Three columns tell them apart.
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

TEST_F(Steps, ArgmaxIsALabelOfTheClassesOnlyWherePlacesAreClasses) {
  Signature names;
  names.classes = {"zebra", "apple"};
  Signature numbers;
  numbers.classes = {"7", "2", "5"};
  const auto role_of = [&](const Signature& classes) {
    const auto step = make("argmax", "");
    auto x = edge(DType::kFloat32, {-1, 3});
    x.spec.role = Role::kProbabilities;
    x.classes = &classes;
    return (*step->bind({&x, 1}))[0].spec.role;
  };
  EXPECT_EQ(role_of(names), Role::kLabel);
  EXPECT_EQ(role_of(numbers), Role::kValue);
}

TEST_F(Steps, ThresholdIsAboveNotAt) {
  EXPECT_EQ(values<std::int64_t>("threshold", "{at: 0.5}",
                                 {floats({5, 1}, {0.5, 0.51F, 0.49F, kNan, 1})}),
            (Ints{0, 1, 0, 0, 1}));
  EXPECT_EQ(refused("threshold", "{}"),
            "p:1:1: threshold needs a number, such as threshold: 0.5");
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
  EXPECT_EQ(values<float>("cast", "{to: FP32}",
                          {tensor<std::int64_t>(DType::kInt64, {1, 2}, {3, -4})}),
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
  EXPECT_EQ(fails("UINT8", floats({1, 1}, {256})), "a value does not fit UINT8");
  EXPECT_EQ(fails("UINT8", floats({1, 1}, {-0.5F})), "");  // cut off to 0
  EXPECT_EQ(fails("INT64", floats({1, 1}, {kNan})), "a value does not fit INT64");
  EXPECT_EQ(fails("INT64", floats({1, 1}, {9223372036854775808.0F})), "a value does not fit INT64");
  EXPECT_EQ(fails("INT64", floats({1, 1}, {-9223372036854775808.0F})), "");
  EXPECT_EQ(fails("UINT64", tensor<std::int64_t>(DType::kInt64, {1, 1}, {-1})),
            "a value does not fit UINT64");
  EXPECT_EQ(refused("cast", "{to: BYTES}"),
            "p:1:1: cast needs a numeric type, such as cast: FP32; 'BYTES' is none");
}

TEST_F(Steps, ConcatPutsColumnsBesideEachOther) {
  EXPECT_EQ(values<float>("concat", "",
                          {floats({2, 1}, {1, 2}), floats({2, 2}, {3, 4, 5, 6})}),
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
  EXPECT_EQ(wrong->bind({&table, 1}).error().message,
            "'in' has no column 'cc'; did you mean 'c'?");
  EXPECT_EQ(not_bound("select", "{columns: [3]}", {edge(DType::kFloat32, {-1, 3})}),
            "'in' has no column '3'; its columns have no names, only the places 0 to 2");
  EXPECT_EQ(refused("select", "{}"),
            "p:1:1: select needs a list of columns, such as select: [0, 2]");
}

// ---- Texts ----

std::string split(const std::string& text, WordRules rules) {
  std::string out;
  normalise(text, rules, out);
  return out;
}

TEST(Words, AreSplitAsBertDoes) {
  // transformers.models.bert.tokenization_bert.BasicTokenizer, its own examples among them.
  const WordRules bert{SplitMethod::kWordpiece, true, true};
  EXPECT_EQ(split(" \tHeLLo!how  \n Are yoU?  ", bert), "hello ! how are you ?");
  EXPECT_EQ(split("H\u00E9llo", bert), "hello");
  EXPECT_EQ(split("ah\u535A\u63A8zz", bert), "ah \u535A \u63A8 zz");
  EXPECT_EQ(split("don't $5 a_b", bert), "don ' t $ 5 a _ b");
  EXPECT_EQ(split(" \tHeLLo!how  \n Are yoU?  ", {SplitMethod::kWordpiece, false, false}),
            "HeLLo ! how Are yoU ?");
  EXPECT_EQ(split("H\u00E4LLo", {SplitMethod::kWords, true, false}), "h\u00E4llo");
  EXPECT_EQ(split("a\u00A0b\u2003c", bert), "a b c");            // spaces of Unicode
  EXPECT_EQ(split("a\u200Bb\u0007c\uFFFD", bert), "abc");        // formats and controls
  EXPECT_EQ(split("\u00BFque\u2026", bert), "\u00BF que \u2026");  // punctuation of Unicode
  EXPECT_EQ(split("A, b\xFF\xC3", {SplitMethod::kWhitespace, false, false}), "A, b\xFF\xC3");
  EXPECT_EQ(split("a\xFF\xC3z", bert), "az");  // bytes that are no UTF-8
  EXPECT_EQ(split("", bert), "");
  EXPECT_EQ(split(" \n ", bert), "");
}

Ints pieces(const std::string& text, std::size_t most = 100) {
  // WordpieceTokenizer's own example: unwanted running → un ##want ##ed runn ##ing
  TokenIds ids;
  std::int64_t id = 0;
  for (const auto* token : {"[UNK]", "un", "##want", "##ed", "runn", "##ing", "##\u00E9", "w"}) {
    ids.add(token, id++);
  }
  Ints out;
  std::string scratch;
  append_ids(text, {SplitMethod::kWordpiece, true, false}, ids, 0, most, scratch, out);
  return out;
}

TEST(Words, BecomeTheLongestPieces) {
  EXPECT_EQ(pieces(""), Ints{});
  EXPECT_EQ(pieces("unwanted running"), (Ints{1, 2, 3, 4, 5}));
  EXPECT_EQ(pieces("unwantedX running"), (Ints{0, 4, 5}));
  EXPECT_EQ(pieces("un\u00E9"), (Ints{1, 6}));
  EXPECT_EQ(pieces("unwanted running", 2), (Ints{1, 2}));
  EXPECT_EQ(pieces("w" + std::string(100, 'w')), Ints{0});  // too long to be looked at
}

TEST_F(Steps, VocabularyPadsCutsAndMasks) {
  write("v.txt", "[PAD]\n[UNK]\nthe\ncat\nsat\n");
  const auto step = make("vocabulary", "{file: v.txt, max_length: 4}");
  ASSERT_NE(step, nullptr) << refusal_;
  const auto out = run(*step, {texts({3, 1}, {"The cat!", "", "the cat sat the cat"})});
  ASSERT_TRUE(out) << out.error().message;
  const auto ints = [&](std::size_t i) {
    const auto span = (*out)[i].as<std::int64_t>();
    return Ints(span.begin(), span.end());
  };
  EXPECT_EQ(ints(0), (Ints{2, 3, 1, 0, 0, 0, 0, 0, 2, 3, 4, 2}));
  EXPECT_EQ(ints(1), (Ints{1, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(ints(2), Ints(12, 0));
}

TEST_F(Steps, VocabularyFramesRowsAsBertDoes) {
  write("v.txt", "[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\nun\r\n##want\r\n##ed\r\n");
  const auto x = texts({2}, {"unwanted unwanted", "un"});
  EXPECT_EQ(values<std::int64_t>("vocabulary", "{file: v.txt, split: wordpiece, max_length: 6}",
                                 {x}),
            (Ints{2, 4, 5, 6, 4, 3, 2, 4, 3, 0, 0, 0}));
  EXPECT_EQ(values<std::int64_t>("vocabulary",
                                 "{file: v.txt, split: wordpiece, padding: longest}", {texts({1}, {"un"})}),
            (Ints{2, 4, 3}));
}

TEST_F(Steps, VocabularyMayLeaveOutWordsAndTakeIds) {
  write("v.json", R"({"the": 5, "cat": 9})");
  EXPECT_EQ(values<std::int64_t>("vocabulary",
                                 "{file: v.json, unknown: \"\", pad: 0, max_length: 3}",
                                 {texts({1, 1}, {"the big cat"})}),
            (Ints{5, 9, 0}));
  EXPECT_EQ(values<std::int64_t>("vocabulary", "{file: v.json, unknown: 1, pad: 0, max_length: 3}",
                                 {texts({1, 1}, {"the big cat"})}),
            (Ints{5, 1, 9}));
}

TEST_F(Steps, VocabularyRefusesWhatIsNone) {
  EXPECT_EQ(refused("vocabulary", "{}"),
            "p:1:1: vocabulary needs a file, such as vocabulary: vocab.txt");
  write("v.txt", "the\n");
  EXPECT_EQ(refused("vocabulary", "{file: v.txt}"),
            "the vocabulary has no token '[UNK]' for 'unknown'; name one that it has, or write an "
            "id, or \"\" for none");
  write("v.json", R"({"the": -5})");
  EXPECT_EQ(refused("vocabulary", "{file: v.json}"),
            "the vocabulary 'v.json' cannot be used: the id of 'the' is no number up to 2^31");
  write("empty.txt", "");
  EXPECT_EQ(refused("vocabulary", "{file: empty.txt}"), "the vocabulary 'empty.txt' has no tokens");
  write("b.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
  EXPECT_EQ(refused("vocabulary", "{file: b.txt, split: wordpiece, max_length: 2}"),
            "p:1:1: max_length leaves no room for words");
  EXPECT_EQ(not_bound("vocabulary", "{file: b.txt}", {edge(DType::kFloat32, {-1, 1})}),
            "it takes one text a row, BYTES of shape [N] or [N,1]; 'in' is FP32 [N,1]");
}

}  // namespace
}  // namespace sluice::engines
