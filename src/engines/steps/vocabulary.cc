// vocabulary: a text becomes the ids of its words in a vocabulary, and a mask that says where a row
// ends. How texts are split is in words.h.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/option.h"
#include "base/text.h"
#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"
#include "engines/steps/words.h"

namespace sluice::engines {

enum class PadTo { kMaxLength, kLongest };

// A token of the vocabulary, or an id: in YAML 0 is an id and "0" a token.
struct TokenOrId {
  std::string token;
  std::optional<std::int64_t> id;
};

}  // namespace sluice::engines

namespace sluice {

SLUICE_OPTION_TYPE(engines::TokenOrId)

std::string OptionType<engines::TokenOrId>::name() { return "token or id"; }
std::string OptionType<engines::TokenOrId>::show(const engines::TokenOrId& value) {
  return value.id ? std::to_string(*value.id) : value.token.empty() ? "empty" : value.token;
}
void OptionType<engines::TokenOrId>::read(const Node& node, engines::TokenOrId& value,
                                          Problems& problems) {
  value = {};
  OptionType<std::string>::read(node, value.token, problems);
  if (!node.quoted) value.id = parse_int(node.scalar);
}

template <>
struct OptionType<engines::SplitMethod>
    : WordOption<engines::SplitMethod, OptionType<engines::SplitMethod>> {
  static constexpr std::array<std::pair<std::string_view, engines::SplitMethod>, 3> kWords = {
      {{"whitespace", engines::SplitMethod::kWhitespace},
       {"words", engines::SplitMethod::kWords},
       {"wordpiece", engines::SplitMethod::kWordpiece}}};
};

template <>
struct OptionType<engines::PadTo> : WordOption<engines::PadTo, OptionType<engines::PadTo>> {
  static constexpr std::array<std::pair<std::string_view, engines::PadTo>, 2> kWords = {
      {{"max_length", engines::PadTo::kMaxLength}, {"longest", engines::PadTo::kLongest}}};
};

}  // namespace sluice

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxFile = std::size_t{64} << 20;
constexpr std::size_t kMaxTokens = 4'000'000;

struct VocabularyOptions {
  std::string file;
  SplitMethod split = SplitMethod::kWords;
  bool lowercase = true;
  std::optional<bool> strip_accents;
  std::int64_t max_length = 128;
  PadTo padding = PadTo::kMaxLength;
  TokenOrId unknown{"[UNK]", {}};
  TokenOrId pad{"[PAD]", {}};
  std::optional<TokenOrId> start;
  std::optional<TokenOrId> end;
  static const Schema<VocabularyOptions>& schema();
};

const Schema<VocabularyOptions>& VocabularyOptions::schema() {
  using O = VocabularyOptions;
  static const auto kSchema =
      Schema<O>()
          .option("file", &O::file, "vocabulary: a token a line, or a JSON object of token to id")
          .option("split", &O::split, "how a text becomes words")
          .option("lowercase", &O::lowercase, "words are looked up in lower case")
          .option("strip_accents", &O::strip_accents,
                  "accents are taken off; wordpiece does so with lowercase")
          .option("max_length", &O::max_length, "most tokens of a row; what follows is cut off",
                  {between<std::int64_t>(1, 16384)})
          .option("padding", &O::padding, "rows get this long: max_length, or a run's longest row")
          .option("unknown", &O::unknown,
                  "token (or id) of words that the vocabulary has not; \"\" leaves them out")
          .option("pad", &O::pad, "token (or id) after the end of a row")
          .option("start", &O::start, "token before a row; wordpiece: [CLS]")
          .option("end", &O::end, "token behind a row; wordpiece: [SEP]");
  return kSchema;
}

Result<TokenIds> read_json(std::string_view text) {
  const auto root = nlohmann::json::parse(text, nullptr, false);
  const std::string wanted =
      "; a vocabulary is a text file with a token a line, or a JSON object {\"token\": id}";
  if (!root.is_object()) return invalid("bad_model", "it is no JSON object" + wanted);
  TokenIds out;
  for (const auto& [token, id] : root.items()) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX) {
      return invalid(
          "bad_model",
          "the id of '" + printable(token) + "' is no whole number below 2^31" + wanted +
              (id.is_object() || id.is_array() ? "; of a tokenizer.json that is what stands in its "
                                                 "model.vocab"
                                               : ""));
    }
    out.add(token, id.get<std::int64_t>());
  }
  return out;
}

// The place of its line is a token's id.
TokenIds read_lines(std::string_view text) {
  TokenIds out;
  std::int64_t id = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    out.add(std::string(line), id++);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

Result<TokenIds> read_vocabulary(const StepSource& source, const std::string& name) {
  SLUICE_TRY(const auto bytes, open_step_file(source.directory, name, kMaxFile));
  auto read = name.ends_with(".json") ? read_json(text_of(bytes))
                                      : Result<TokenIds>(read_lines(text_of(bytes)));
  const std::string file = "the vocabulary '" + printable(name) + "' ";
  if (!read) return invalid("bad_model", file + "cannot be used: " + read.error().message);
  if (read->size() == 0) return invalid("bad_model", file + "has no tokens");
  if (read->size() > kMaxTokens) return invalid("bad_model", file + "has too many tokens");
  return read;
}

// Ids of tokens that stand for themselves; nothing where there is none.
struct SpecialIds {
  std::optional<std::int64_t> unknown;
  std::optional<std::int64_t> start;
  std::optional<std::int64_t> end;
  std::int64_t pad = 0;
};

Result<std::optional<std::int64_t>> special(const TokenIds& ids, const std::string& key,
                                            const TokenOrId& given) {
  if (given.id) {
    // A model may have more ids than the vocabulary lists.
    if (*given.id >= 0 && *given.id <= INT32_MAX) return given.id;
    return invalid("bad_model",
                   "'" + key + "' is the id " + std::to_string(*given.id) +
                       ", which is no whole number below 2^31; a token that is a number is "
                       "written in quotes");
  }
  const auto& token = given.token;
  if (token.empty()) return std::optional<std::int64_t>();
  if (const auto id = ids.find(token)) return id;
  return invalid("bad_model", "the vocabulary has no token '" + printable(token) + "' for '" + key +
                                  "'; name one that it has, or write an id" +
                                  (key == "pad" ? "" : ", or \"\" for none"));
}

class Vocabulary final : public Step {
 public:
  using Options = VocabularyOptions;
  static constexpr std::string_view kMain = "file";

  Vocabulary(const Options& options, TokenIds ids, SpecialIds special)
      : ids_(std::move(ids)),
        special_(special),
        rules_{options.split, options.lowercase,
               options.strip_accents.value_or(options.split == SplitMethod::kWordpiece &&
                                              options.lowercase)},
        length_(static_cast<std::size_t>(options.max_length)),
        padding_(options.padding) {}

  static Result<std::unique_ptr<Step>> make(const Options& options, const StepSource& source,
                                            Problems& problems) {
    if (options.file.empty()) {
      report(problems, source.place, "vocabulary needs a file, such as vocabulary: vocab.txt");
      return nullptr;
    }
    SLUICE_TRY(auto ids, read_vocabulary(source, options.file));
    const bool pieces = options.split == SplitMethod::kWordpiece;
    SpecialIds found;
    SLUICE_TRY(found.unknown, special(ids, "unknown", options.unknown));
    const TokenOrId start{pieces ? "[CLS]" : "", {}};
    const TokenOrId end{pieces ? "[SEP]" : "", {}};
    SLUICE_TRY(found.start, special(ids, "start", options.start.value_or(start)));
    SLUICE_TRY(found.end, special(ids, "end", options.end.value_or(end)));
    SLUICE_TRY(const auto pad, special(ids, "pad", options.pad));
    found.pad = pad.value_or(0);
    const auto frame = (found.start ? 1 : 0) + (found.end ? 1 : 0);
    if (options.max_length <= frame) {
      report(problems, source.place, "max_length leaves no room for words");
      return nullptr;
    }
    return std::make_unique<Vocabulary>(options, std::move(ids), found);
  }

  std::vector<std::string> inputs() const override { return {"text"}; }
  std::vector<std::string> outputs() const override {
    return {"input_ids", "attention_mask", "token_type_ids"};
  }
  std::optional<Edge> expects(std::size_t) const override {
    Edge out;
    out.spec.dtype = DType::kString;
    out.spec.dims = {-1, 1};
    return out;
  }
  std::string describe() const override {
    return "vocabulary of " + std::to_string(ids_.size()) + " tokens";
  }

  Result<std::vector<Edge>> bind(std::span<const Edge> inputs) override {
    const auto& spec = inputs[0].spec;
    const auto& dims = spec.dims;
    const bool one_a_row = dims.size() == 1 || (dims.size() == 2 && dims[1] == 1);
    if (spec.dtype != DType::kString || !one_a_row) {
      return invalid("bad_model", "it takes one text a row, BYTES of shape [N] or [N,1]; '" +
                                      spec.name + "' is " + std::string(name_of(spec.dtype)) + " " +
                                      show_shape(dims));
    }
    Edge out;
    out.spec.dtype = DType::kInt64;
    out.spec.dims = {dims[0],
                     padding_ == PadTo::kLongest ? -1 : static_cast<std::int64_t>(length_)};
    return std::vector<Edge>(3, out);
  }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    const auto& texts = inputs[0].strings;
    std::vector<std::int64_t> ids;
    const auto ends = arena.array<std::size_t>(texts.size());
    std::string scratch;
    std::size_t longest = 1;  // a tensor without columns fits nothing
    for (std::size_t row = 0; row < texts.size(); ++row) {
      const auto begin = ids.size();
      append_row(texts[row], scratch, ids);
      ends[row] = ids.size();
      longest = std::max(longest, ids.size() - begin);
    }
    const auto width = padding_ == PadTo::kLongest ? longest : length_;
    const Shape shape{static_cast<std::int64_t>(texts.size()), static_cast<std::int64_t>(width)};
    SLUICE_TRY(const auto count, output_elements(shape));
    const auto out = make_output<std::int64_t>(DType::kInt64, shape, count, outputs[0], arena);
    const auto mask = make_output<std::int64_t>(DType::kInt64, shape, count, outputs[1], arena);
    const auto types = make_output<std::int64_t>(DType::kInt64, shape, count, outputs[2], arena);
    std::ranges::fill(out, special_.pad);
    std::ranges::fill(mask, 0);
    std::ranges::fill(types, 0);
    for (std::size_t row = 0; row < texts.size(); ++row) {
      const auto begin = row == 0 ? 0 : ends[row - 1];
      const auto size = ends[row] - begin;
      std::copy_n(ids.data() + begin, size, out.data() + row * width);
      std::fill_n(mask.data() + row * width, size, 1);
    }
    return {};
  }

 private:
  void append_row(std::string_view text, std::string& scratch,
                  std::vector<std::int64_t>& ids) const {
    const std::size_t frame = (special_.start ? 1 : 0) + (special_.end ? 1 : 0);
    if (special_.start) ids.push_back(*special_.start);
    append_ids(text, rules_, ids_, special_.unknown, length_ - frame, scratch, ids);
    if (special_.end) ids.push_back(*special_.end);
  }

  const TokenIds ids_;
  const SpecialIds special_;
  const WordRules rules_;
  const std::size_t length_;
  const PadTo padding_;
};

}  // namespace

std::shared_ptr<const StepKind> make_vocabulary() {
  return std::make_shared<SimpleKind<Vocabulary>>();
}

}  // namespace sluice::engines
