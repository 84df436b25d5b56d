// Texts as rows of ids, and how they are split. tests/e2e/pipelines.py compares both with BERT's
// rules on many more texts.

#include "engines/steps/testing/step_fixture.h"
#include "engines/steps/words.h"

namespace sluice::engines {
namespace {

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
  EXPECT_EQ(split("a\u00A0b\u2003c", bert), "a b c");              // spaces of Unicode
  EXPECT_EQ(split("a\u200Bb\u0007c\uFFFD", bert), "abc");          // formats and controls
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

TEST(Words, AreWhatPythonsReCallsWords) {
  const WordRules words{SplitMethod::kWords, true, false};
  EXPECT_EQ(split("great\U0001F44D food\u2122x", words), "great \U0001F44D food \u2122 x");
  EXPECT_EQ(split("20\u20AC snake_case don't", words), "20 \u20AC snake_case don ' t");
  EXPECT_EQ(split("\u0969 \u2460a \u00BD", words), "\u0969 \u2460a \u00BD");  // numbers of Unicode
  EXPECT_EQ(split("a\u200Db\u0007c", words), "a b c");
  EXPECT_EQ(split("cafe\u0301s", words), "cafe \u0301 s");
  EXPECT_EQ(split("cafe\u0301s", {SplitMethod::kWords, true, true}), "cafes");
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
  EXPECT_EQ(
      values<std::int64_t>("vocabulary", "{file: v.txt, split: wordpiece, max_length: 6}", {x}),
      (Ints{2, 4, 5, 6, 4, 3, 2, 4, 3, 0, 0, 0}));
  EXPECT_EQ(values<std::int64_t>("vocabulary", "{file: v.txt, split: wordpiece, padding: longest}",
                                 {texts({1}, {"un"})}),
            (Ints{2, 4, 3}));
}

TEST_F(Steps, VocabularyMayLeaveOutWordsAndTakeIds) {
  write("v.json", R"({"the": 5, "cat": 9})");
  EXPECT_EQ(
      values<std::int64_t>("vocabulary", "{file: v.json, unknown: \"\", pad: 0, max_length: 3}",
                           {texts({1, 1}, {"the big cat"})}),
      (Ints{5, 9, 0}));
  EXPECT_EQ(values<std::int64_t>("vocabulary", "{file: v.json, unknown: 1, pad: 0, max_length: 3}",
                                 {texts({1, 1}, {"the big cat"})}),
            (Ints{5, 1, 9}));
}

TEST_F(Steps, ANumberIsAnIdAndInQuotesAToken) {
  write("v.txt", "\xEF\xBB\xBFthe\n0\n");
  const auto padded = [&](const std::string& pad) {
    return values<std::int64_t>("vocabulary",
                                "{file: v.txt, unknown: \"\", max_length: 2, pad: " + pad + "}",
                                {texts({1, 1}, {"the"})});
  };
  EXPECT_EQ(padded("0"), (Ints{0, 0}));
  EXPECT_EQ(padded("\"0\""), (Ints{0, 1}));
  EXPECT_EQ(padded("2"), (Ints{0, 2}));  // behind the last, as models have it
}

TEST_F(Steps, VocabularyRefusesWhatIsNone) {
  EXPECT_EQ(refused("vocabulary", "{}"),
            "p:1:1: vocabulary needs a file, such as vocabulary: vocab.txt");
  write("v.txt", "the\n");
  EXPECT_EQ(refused("vocabulary", "{file: v.txt}"),
            "the vocabulary has no token '[UNK]' for 'unknown'; name one that it has, or write an "
            "id, or \"\" for none");
  write("v.json", R"({"the": -5})");
  EXPECT_EQ(
      refused("vocabulary", "{file: v.json}"),
      "the vocabulary 'v.json' cannot be used: the id of 'the' is no whole number below 2^31; a "
      "vocabulary is a text file with a token a line, or a JSON object {\"token\": id}");
  write("v.json", R"({"model": {"vocab": {"the": 1}}})");
  EXPECT_TRUE(refused("vocabulary", "{file: v.json}")
                  .ends_with("; of a tokenizer.json that is what stands in its model.vocab"));
  write("v.json", R"({"the": 5, "0": 6})");
  EXPECT_EQ(
      refused("vocabulary", "{file: v.json, unknown: 3000000000, pad: 50257}"),
      "'unknown' is the id 3000000000, which is no whole number below 2^31; a token that is a "
      "number is written in quotes");
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
