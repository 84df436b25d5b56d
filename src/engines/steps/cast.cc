// cast: the same values in another numeric type. Towards integers fractions are cut off, as NumPy
// does; a value that the type does not have is the client's mistake and never wraps around.

#include <array>
#include <cmath>
#include <limits>

#include "base/half.h"
#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

struct CastOptions {
  std::string to;
  static const Schema<CastOptions>& schema() {
    static const auto kSchema =
        Schema<CastOptions>().option("to", &CastOptions::to, "the type, such as FP32 or INT64");
    return kSchema;
  }
};

Failure does_not_fit(const TensorView& x, std::size_t i, DType to) {
  const auto wide = x.dtype == DType::kInt64    ? std::to_string(x.as<std::int64_t>()[i])
                    : x.dtype == DType::kUint64 ? std::to_string(x.as<std::uint64_t>()[i])
                                                : OptionType<double>::show(number_at(x, i));
  const auto rows = x.shape.rank() == 0 ? 1 : static_cast<std::size_t>(x.shape[0]);
  return invalid("out_of_range", which_row(x.shape, i / (x.elements() / rows)) + wide +
                                     " does not fit " + std::string(name_of(to)));
}

// Infinity stands for itself; a number that would become one does not fit.
bool overflows(double from, double to) { return std::isfinite(from) && !std::isfinite(to); }

// False where T has no such value.
template <class T>
bool convert(double value, T& out) {
  if constexpr (std::is_floating_point_v<T>) {
    out = static_cast<T>(value);
    return !overflows(value, out);
  } else {
    // Both limits are powers of two, so that they are exact; the upper one is the first too many.
    const double low = static_cast<double>(std::numeric_limits<T>::min());
    const double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
    const double whole = std::trunc(value);
    if (!(whole >= low && whole < high)) return false;
    out = static_cast<T>(whole);
    return true;
  }
}

template <class T>
Result<void> fill(const TensorView& x, DType to, std::size_t count, TensorView& y, Arena& arena) {
  const auto out = make_output<T>(to, x.shape, count, y, arena);
  // 64-bit integers do not pass through doubles, which have 53 bits.
  const auto exact = [&](auto values) -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      if constexpr (std::is_integral_v<T>) {
        if (!std::in_range<T>(values[i])) return does_not_fit(x, i, to);
      }
      out[i] = static_cast<T>(values[i]);
    }
    return {};
  };
  if (x.dtype == DType::kInt64) return exact(x.as<std::int64_t>());
  if (x.dtype == DType::kUint64) return exact(x.as<std::uint64_t>());
  return with_numbers(x, [&](auto at) -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      if (!convert(at(i), out[i])) return does_not_fit(x, i, to);
    }
    return {};
  });
}

using Fill = Result<void> (*)(const TensorView&, DType, std::size_t, TensorView&, Arena&);

template <std::uint16_t (*Narrow)(float), float (*Widen)(std::uint16_t)>
Result<void> fill_half(const TensorView& x, DType to, std::size_t count, TensorView& y,
                       Arena& arena) {
  const auto out = make_output<std::uint16_t>(to, x.shape, count, y, arena);
  return with_numbers(x, [&](auto at) -> Result<void> {
    for (std::size_t i = 0; i < count; ++i) {
      out[i] = Narrow(static_cast<float>(at(i)));
      if (overflows(at(i), Widen(out[i]))) return does_not_fit(x, i, to);
    }
    return {};
  });
}

Result<void> fill_bool(const TensorView& x, DType to, std::size_t count, TensorView& y,
                       Arena& arena) {
  const auto out = make_output<std::uint8_t>(to, x.shape, count, y, arena);
  with_numbers(x, [&](auto at) {
    for (std::size_t i = 0; i < count; ++i) out[i] = at(i) != 0 ? 1 : 0;
  });
  return {};
}

// In the order of DType, without strings.
constexpr std::array<Fill, 13> kFills = {fill_bool,
                                         fill<std::uint8_t>,
                                         fill<std::uint16_t>,
                                         fill<std::uint32_t>,
                                         fill<std::uint64_t>,
                                         fill<std::int8_t>,
                                         fill<std::int16_t>,
                                         fill<std::int32_t>,
                                         fill<std::int64_t>,
                                         fill_half<float_to_half, half_to_float>,
                                         fill_half<float_to_bf16, bf16_to_float>,
                                         fill<float>,
                                         fill<double>};

class Cast final : public UnaryStep {
 public:
  using Options = CastOptions;
  static constexpr std::string_view kMain = "to";

  explicit Cast(DType to) : to_(to) {}
  static Result<std::unique_ptr<Step>> make(const Options& options, const StepSource& source,
                                            Problems& problems) {
    const auto to = dtype_named(options.to);
    if (to && *to != DType::kString) return std::make_unique<Cast>(*to);
    report(
        problems, source.place,
        "cast needs a numeric type, such as cast: FP32; '" + printable(options.to) + "' is none");
    return nullptr;
  }
  bool keeps_columns() const override { return true; }
  std::string describe() const override { return "cast to " + std::string(name_of(to_)); }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    if (x.spec.dtype == DType::kString) return not_numbers(x);
    Edge out = x;
    out.spec.dtype = to_;
    // A probability that is an integer is one no more; a label may change its type.
    if (x.spec.role != Role::kLabel && !is_floating(to_)) out.spec.role = Role::kUnknown;
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    SLUICE_TRY(const auto count, output_elements(x.shape));
    return kFills[static_cast<std::size_t>(to_)](x, to_, count, y, arena);
  }

 private:
  const DType to_;
};

}  // namespace

std::shared_ptr<const StepKind> make_cast() { return std::make_shared<SimpleKind<Cast>>(); }

}  // namespace sluice::engines
