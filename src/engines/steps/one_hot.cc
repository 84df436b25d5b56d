// one_hot: a category becomes a 1 in its own column among zeros, as scikit-learn's OneHotEncoder
// has it. Texts are compared byte by byte, numbers by value.

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {

// One list of categories, or a list of such lists: one for each column.
struct CategoryLists {
  std::vector<std::vector<std::string>> columns;
  bool quoted = false;  // some category is written as a text, whatever it looks like
};

enum class UnknownCategory { kError, kZeros };

}  // namespace sluice::engines

namespace sluice {

SLUICE_OPTION_TYPE(engines::CategoryLists)

std::string OptionType<engines::CategoryLists>::name() { return "list, or list of lists"; }
std::string OptionType<engines::CategoryLists>::show(const engines::CategoryLists&) {
  return "none";
}
void OptionType<engines::CategoryLists>::read(const Node& node, engines::CategoryLists& value,
                                              Problems& problems) {
  if (!expect_kind(node, Node::Kind::kList, name(), problems)) return;
  const bool nested = !node.items.empty() && node.items[0].kind == Node::Kind::kList;
  const auto add = [&](const Node& column) {
    OptionType<std::vector<std::string>>::read(column, value.columns.emplace_back(), problems);
    value.quoted = value.quoted || std::ranges::any_of(column.items, &Node::quoted);
  };
  if (!nested) return add(node);
  for (const auto& column : node.items) add(column);
}

template <>
struct OptionType<engines::UnknownCategory>
    : WordOption<engines::UnknownCategory, OptionType<engines::UnknownCategory>> {
  static constexpr std::array<std::pair<std::string_view, engines::UnknownCategory>, 2> kWords = {
      {{"error", engines::UnknownCategory::kError}, {"zeros", engines::UnknownCategory::kZeros}}};
};

}  // namespace sluice

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxCategories = 1'000'000;
constexpr double kMaxExact = 9007199254740992.0;  // 2^53

struct OneHotOptions {
  CategoryLists categories;
  UnknownCategory unknown = UnknownCategory::kError;
  static const Schema<OneHotOptions>& schema() {
    static const auto kSchema =
        Schema<OneHotOptions>()
            .option("categories", &OneHotOptions::categories, "the categories of each column")
            .option("unknown", &OneHotOptions::unknown, "what any other category gets");
    return kSchema;
  }
};

std::string fault_of(const CategoryLists& categories) {
  std::size_t all = 0;
  for (const auto& column : categories.columns) {
    std::vector<std::string> sorted = column;
    std::ranges::sort(sorted);
    const auto twice = std::ranges::adjacent_find(sorted);
    if (twice != sorted.end()) return "category '" + printable(*twice) + "' is listed twice";
    if (column.empty()) return "a column has no categories";
    all += column.size();
  }
  if (all == 0) return "one_hot needs categories, such as one_hot: [red, green, blue]";
  return all > kMaxCategories ? "there are more than 1000000 categories" : "";
}

class OneHot final : public UnaryStep {
 public:
  using Options = OneHotOptions;
  static constexpr std::string_view kMain = "categories";

  explicit OneHot(Options options) : options_(std::move(options)) {
    std::size_t offset = 0;
    for (const auto& column : options_.categories.columns) {
      auto& places = texts_.emplace_back();
      for (const auto& category : column) places.emplace(category, offset++);
    }
    width_ = offset;
  }
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource& source,
                                            Problems& problems) {
    const auto fault = fault_of(options.categories);
    if (fault.empty()) return std::make_unique<OneHot>(std::move(options));
    report(problems, source.place, fault);
    return nullptr;
  }

  std::optional<Edge> expects(std::size_t) const override {
    Edge out;
    const auto all = [&](auto is) {
      return !options_.categories.quoted && std::ranges::all_of(texts_, [&](const auto& column) {
        return std::ranges::all_of(column, [&](const auto& one) { return is(one.first); });
      });
    };
    const bool whole = all([](const auto& text) { return parse_int(text).has_value(); });
    const bool number = all([](const auto& text) { return parse_double(text).has_value(); });
    out.spec.dtype = whole ? DType::kInt64 : number ? DType::kFloat32 : DType::kString;
    out.spec.dims = {-1, static_cast<std::int64_t>(texts_.size())};
    return out;
  }
  std::string describe() const override {
    return "one_hot of " + std::to_string(width_) + " categories";
  }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    const auto& dims = x.spec.dims;
    const auto columns = static_cast<std::int64_t>(texts_.size());
    const bool flat = dims.size() == 1 && columns == 1;
    if (!flat && (dims.size() != 2 || dims[1] != columns)) {
      return invalid("bad_model", "it has categories for " + std::to_string(columns) + " column" +
                                      (columns == 1 ? "" : "s") + ", but '" + x.spec.name +
                                      "' has shape " + show_shape(dims));
    }
    if (x.spec.dtype != DType::kString) SLUICE_CHECK(read_numbers(x.spec.dtype));
    Edge out;
    out.spec.name = x.spec.name;
    out.spec.dims = {dims[0], static_cast<std::int64_t>(width_)};
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    const Shape shape{x.shape[0], static_cast<std::int64_t>(width_)};
    SLUICE_TRY(const auto count, output_elements(shape));
    const auto out = make_output<float>(DType::kFloat32, shape, count, y, arena);
    std::ranges::fill(out, 0.0F);
    const auto columns = texts_.size();
    for (std::size_t i = 0; i < x.elements(); ++i) {
      const auto place = place_of(x, i, i % columns);
      if (place) {
        out[i / columns * width_ + *place] = 1.0F;
      } else if (options_.unknown == UnknownCategory::kError) {
        return unknown(x, i, i % columns);
      }
    }
    return {};
  }

 private:
  Result<void> read_numbers(DType dtype) {
    for (const auto& column : texts_) {
      auto& places = numbers_.emplace_back();
      for (const auto& [text, place] : column) {
        const auto number = parse_double(text);
        if (!number || !(std::abs(*number) < kMaxExact)) {
          return invalid("bad_model", "its input has numbers, but category '" + printable(text) +
                                          "' is none below 2^53");
        }
        if (!places.emplace(in_type(dtype, *number), place).second) {
          return invalid("bad_model", "category '" + printable(text) + "' is listed twice: as " +
                                          std::string(name_of(dtype)) +
                                          " it is the same number as another");
        }
      }
    }
    return {};
  }

  std::optional<std::size_t> place_of(const TensorView& x, std::size_t i,
                                      std::size_t column) const {
    const auto found = [](const auto& places, const auto& key) -> std::optional<std::size_t> {
      const auto at = places.find(key);
      return at == places.end() ? std::nullopt : std::optional(at->second);
    };
    if (x.dtype == DType::kString) return found(texts_[column], x.strings[i]);
    return found(numbers_[column], number_at(x, i));
  }

  Failure unknown(const TensorView& x, std::size_t i, std::size_t column) const {
    const auto shown = x.dtype == DType::kString ? "'" + printable(x.strings[i]) + "'"
                                                 : OptionType<double>::show(number_at(x, i));
    return invalid("unknown_category", which_row(x.shape, i / texts_.size()) + shown +
                                           " is none of the " +
                                           std::to_string(texts_[column].size()) +
                                           " categories of column " + std::to_string(column));
  }

  struct HashText {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  const Options options_;
  std::vector<std::unordered_map<std::string, std::size_t, HashText, std::equal_to<>>> texts_;
  std::vector<std::unordered_map<double, std::size_t>> numbers_;
  std::size_t width_ = 0;
};

}  // namespace

std::shared_ptr<const StepKind> make_one_hot() { return std::make_shared<SimpleKind<OneHot>>(); }

}  // namespace sluice::engines
