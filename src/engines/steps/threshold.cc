// threshold: 1 where a value is above the threshold, else 0. NaN is not above anything, and where
// there is one value a row, which is a decision, it is none.

#include <cmath>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

struct ThresholdOptions {
  std::optional<double> at;
  static const Schema<ThresholdOptions>& schema() {
    static const auto kSchema =
        Schema<ThresholdOptions>().option("at", &ThresholdOptions::at, "values above it become 1");
    return kSchema;
  }
};

class Threshold final : public UnaryStep {
 public:
  using Options = ThresholdOptions;
  static constexpr std::string_view kMain = "at";

  explicit Threshold(double at) : at_(at) {}
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource& source,
                                            Problems& problems) {
    if (options.at) return std::make_unique<Threshold>(*options.at);
    report(problems, source.place, "threshold needs a number, such as threshold: 0.5");
    return nullptr;
  }
  std::string describe() const override { return "threshold at " + OptionType<double>::show(at_); }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    if (x.spec.dtype == DType::kString) return not_numbers(x);
    at_ = in_type(x.spec.dtype, at_);
    Edge out;
    out.spec = x.spec;
    out.spec.dtype = DType::kInt64;
    out.spec.role = Role::kUnknown;
    out.spec.says_places = true;
    const auto& dims = x.spec.dims;
    const bool single = dims.size() == 1 || (dims.size() == 2 && dims[1] == 1);
    decides_ = single;
    if (x.spec.role != Role::kProbabilities || !single) return out;
    // The positive class of two: what it says is a class.
    out.spec.role = Role::kLabel;
    out.classes = x.classes;
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    SLUICE_TRY(const auto count, output_elements(x.shape));
    const auto out = make_output<std::int64_t>(DType::kInt64, x.shape, count, y, arena);
    std::optional<std::size_t> missing;
    with_numbers(x, [&](auto at) {
      for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = at(i) > at_ ? 1 : 0;
        if (decides_ && !missing && std::isnan(at(i))) missing = i;
      }
    });
    if (missing) return no_class(x.shape, *missing);
    return {};
  }

 private:
  double at_;
  bool decides_ = false;
};

}  // namespace

std::shared_ptr<const StepKind> make_threshold() {
  return std::make_shared<SimpleKind<Threshold>>();
}

}  // namespace sluice::engines
