// argmax: the place of the largest value along an axis; the first of equal ones, and the first NaN,
// as NumPy has it.

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

// Places in this list can be told from its classes: a class that is called 2 but is the first one
// would be mistaken for the third.
bool places_are_classes(const Signature& of) {
  for (std::size_t i = 0; i < of.classes.size(); ++i) {
    if (const auto number = parse_uint(of.classes[i]); number && *number != i) return false;
  }
  return true;
}

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
    Edge out;
    out.spec = x.spec;
    out.spec.dtype = DType::kInt64;
    out.spec.dims.erase(out.spec.dims.begin() + static_cast<std::ptrdiff_t>(axis_));
    out.spec.role = Role::kUnknown;
    const bool scores = x.spec.role == Role::kProbabilities || x.spec.role == Role::kLogits;
    if (!scores || x.spec.dims.size() != 2) return out;
    const bool told = x.classes == nullptr || places_are_classes(*x.classes);
    out.spec.role = told ? Role::kLabel : Role::kValue;
    if (told) out.classes = x.classes;
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
        }
      }
    });
    return {};
  }

 private:
  const Options options_;
  std::size_t axis_ = 1;
};

}  // namespace

std::shared_ptr<const StepKind> make_argmax() { return std::make_shared<SimpleKind<Argmax>>(); }

}  // namespace sluice::engines
