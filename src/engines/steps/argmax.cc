// argmax: the place of the largest value along an axis; the first of equal ones, and the first NaN,
// as NumPy has it; of NaN among a row's scores there is no class.

#include <algorithm>
#include <cmath>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

struct ArgmaxOptions {
  std::int64_t axis = -1;
  static const Schema<ArgmaxOptions>& schema() {
    static const auto kSchema = Schema<ArgmaxOptions>().option("axis", &ArgmaxOptions::axis,
                                                               "dimension that is looked along");
    return kSchema;
  }
};

class Argmax final : public UnaryStep {
 public:
  using Options = ArgmaxOptions;
  static constexpr std::string_view kMain = "axis";

  explicit Argmax(Options options) : options_(options) {}
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource&, Problems&) {
    return std::make_unique<Argmax>(options);
  }
  std::string describe() const override { return "argmax"; }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    if (x.spec.dtype == DType::kString) return not_numbers(x);
    SLUICE_TRY(axis_, axis_of(options_.axis, x.spec.dims.size()));
    if (x.spec.dims[axis_] == 1) {
      return only_one(x, "the largest of one value is always place 0");
    }
    Edge out;
    out.spec = x.spec;
    out.spec.dtype = DType::kInt64;
    out.spec.dims.erase(out.spec.dims.begin() + static_cast<std::ptrdiff_t>(axis_));
    out.spec.role = Role::kUnknown;
    out.spec.says_places = true;
    const bool scores = x.spec.role == Role::kProbabilities || x.spec.role == Role::kLogits;
    if (!scores || x.spec.dims.size() != 2) return out;
    decides_ = true;
    out.spec.role = Role::kLabel;
    out.classes = x.classes;
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    const auto [outer, length, inner] = split_at(x.shape, axis_);
    if (length == 0) return invalid("wrong_shape", "there is no largest of no values");
    Shape shape;
    for (std::size_t i = 0; i < x.shape.rank(); ++i) {
      if (i != axis_) shape.push(x.shape[i]);
    }
    SLUICE_TRY(const auto count, output_elements(shape));
    const auto places = make_output<std::int64_t>(DType::kInt64, shape, count, y, arena);
    std::optional<std::size_t> missing;
    with_numbers(x, [&, outer, length, inner](auto at) {
      for (std::size_t o = 0; o < outer; ++o) {
        for (std::size_t n = 0; n < inner; ++n) {
          std::size_t best = 0;
          double most = at(o * length * inner + n);
          for (std::size_t i = 1; i < length && !std::isnan(most); ++i) {
            const double value = at((o * length + i) * inner + n);
            if (value > most || std::isnan(value)) {
              best = i;
              most = value;
            }
          }
          places[o * inner + n] = static_cast<std::int64_t>(best);
          if (decides_ && !missing && std::isnan(most)) missing = o;
        }
      }
    });
    if (missing) return no_class(x.shape, *missing);
    return {};
  }

 private:
  const Options options_;
  std::size_t axis_ = 1;
  bool decides_ = false;
};

}  // namespace

std::shared_ptr<const StepKind> make_argmax() { return std::make_shared<SimpleKind<Argmax>>(); }

}  // namespace sluice::engines
