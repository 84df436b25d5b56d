// select: some columns of a table, in the order in which they are listed, by name or by place.

#include <algorithm>
#include <cstring>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

struct SelectOptions {
  std::vector<std::string> columns;
  static const Schema<SelectOptions>& schema() {
    static const auto kSchema = Schema<SelectOptions>().option(
        "columns", &SelectOptions::columns, "names of columns, or places that count from 0");
    return kSchema;
  }
};

class Select final : public UnaryStep {
 public:
  using Options = SelectOptions;
  static constexpr std::string_view kMain = "columns";

  explicit Select(Options options) : options_(std::move(options)) {}
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource& source,
                                            Problems& problems) {
    if (!options.columns.empty()) return std::make_unique<Select>(std::move(options));
    report(problems, source.place, "select needs a list of columns, such as select: [0, 2]");
    return nullptr;
  }
  std::string describe() const override {
    return "select of " + std::to_string(options_.columns.size()) + " columns";
  }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    const auto& dims = x.spec.dims;
    if (dims.size() < 2 || dims.back() < 0) {
      return invalid("bad_model", "'" + x.spec.name + "' has shape " + show_shape(dims) +
                                      "; select takes tables whose number of columns is known");
    }
    width_ = static_cast<std::size_t>(dims.back());
    for (const auto& column : options_.columns) {
      SLUICE_TRY(const auto place, place_of(column, x));
      places_.push_back(place);
    }
    Edge out = x;
    out.spec.dims.back() = static_cast<std::int64_t>(places_.size());
    out.columns.clear();
    for (const auto place : places_) {
      if (!x.columns.empty()) out.columns.push_back(x.columns[place]);
    }
    // The second of two probabilities says as much as both; of any others nothing is known.
    const bool positive = x.spec.role == Role::kProbabilities && dims.size() == 2 && width_ == 2 &&
                          places_ == std::vector<std::size_t>{1};
    if (!positive) {
      out.spec.role = x.spec.role == Role::kProbabilities ? Role::kValue : Role::kUnknown;
      out.classes = nullptr;
    }
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    Shape shape = x.shape;
    shape[shape.rank() - 1] = static_cast<std::int64_t>(places_.size());
    SLUICE_TRY(const auto count, output_elements(shape));
    const auto rows = count / places_.size();
    if (x.dtype == DType::kString) {
      const auto strings = arena.array<std::string_view>(count);
      for (std::size_t i = 0; i < count; ++i) strings[i] = arena.copy(x.strings[source_of(i)]);
      y = {x.dtype, shape, {}, strings};
      return {};
    }
    const auto size = size_of(x.dtype);
    const auto bytes = arena.array<std::byte>(count * size);
    for (std::size_t i = 0; i < rows * places_.size(); ++i) {
      std::memcpy(bytes.data() + i * size, x.data.data() + source_of(i) * size, size);
    }
    y = {x.dtype, shape, bytes, {}};
    return {};
  }

 private:
  std::size_t source_of(std::size_t i) const {
    return i / places_.size() * width_ + places_[i % places_.size()];
  }

  Result<std::size_t> place_of(const std::string& column, const Edge& x) const {
    const auto named = std::ranges::find(x.columns, column);
    if (named != x.columns.end()) return static_cast<std::size_t>(named - x.columns.begin());
    const auto place = parse_uint(column);
    if (place && *place < width_) return static_cast<std::size_t>(*place);
    std::vector<std::string_view> known(x.columns.begin(), x.columns.end());
    return invalid("bad_model",
                   "'" + x.spec.name + "' has no column '" + printable(column) + "'" +
                       (known.empty() ? "; its columns have no names, only the places 0 to " +
                                            std::to_string(width_ - 1)
                                      : did_you_mean(column, known)));
  }

  const Options options_;
  std::vector<std::size_t> places_;
  std::size_t width_ = 0;
};

}  // namespace

std::shared_ptr<const StepKind> make_select() { return std::make_shared<SimpleKind<Select>>(); }

}  // namespace sluice::engines
