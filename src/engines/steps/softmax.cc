// softmax: exp(x) over its sum along an axis, computed in double from the largest value on, so that
// nothing overflows.

#include <algorithm>
#include <cmath>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

struct SoftmaxOptions {
  std::int64_t axis = -1;
  static const Schema<SoftmaxOptions>& schema() {
    static const auto kSchema =
        Schema<SoftmaxOptions>().option("axis", &SoftmaxOptions::axis, "dimension that sums to 1");
    return kSchema;
  }
};

class Softmax final : public UnaryStep {
 public:
  using Options = SoftmaxOptions;
  static constexpr std::string_view kMain = "axis";

  explicit Softmax(Options options) : options_(options) {}
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource&, Problems&) {
    return std::make_unique<Softmax>(options);
  }
  std::string describe() const override { return "softmax"; }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    if (x.spec.dtype == DType::kString) return not_numbers(x);
    SLUICE_TRY(axis_, axis_of(options_.axis, x.spec.dims.size()));
    if (x.spec.dims[axis_] == 1) return only_one(x, "softmax of one value is always 1");
    Edge out = x;
    out.columns.clear();
    out.spec.says_places = false;
    out.spec.dtype = x.spec.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    out.spec.role = x.spec.dims.size() == 2 ? Role::kProbabilities : Role::kUnknown;
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    SLUICE_TRY(const auto count, output_elements(x.shape));
    if (x.dtype == DType::kFloat64) {
      normalise(x, make_output<double>(DType::kFloat64, x.shape, count, y, arena));
    } else {
      normalise(x, make_output<float>(DType::kFloat32, x.shape, count, y, arena));
    }
    return {};
  }

 private:
  template <class T>
  void normalise(const TensorView& x, std::span<T> out) const {
    const auto [outer, length, inner] = split_at(x.shape, axis_);
    with_numbers(x, [&, outer, length, inner](auto at) {
      for (std::size_t o = 0; o < outer; ++o) {
        for (std::size_t n = 0; n < inner; ++n) {
          const auto place = [&](std::size_t i) { return (o * length + i) * inner + n; };
          double most = -INFINITY;
          for (std::size_t i = 0; i < length; ++i) most = std::max(most, at(place(i)));
          double sum = 0;
          for (std::size_t i = 0; i < length; ++i) sum += std::exp(at(place(i)) - most);
          for (std::size_t i = 0; i < length; ++i) {
            out[place(i)] = static_cast<T>(std::exp(at(place(i)) - most) / sum);
          }
        }
      }
    });
  }

  const Options options_;
  std::size_t axis_ = 1;
};

}  // namespace

std::shared_ptr<const StepKind> make_softmax() { return std::make_shared<SimpleKind<Softmax>>(); }

}  // namespace sluice::engines
