// concat: several tensors of one type beside each other, along the last dimension.

#include <cstring>

#include "base/checked.h"
#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxInputs = 256;

struct ConcatOptions {
  static const Schema<ConcatOptions>& schema() {
    static const auto kSchema = Schema<ConcatOptions>();
    return kSchema;
  }
};

class Concat final : public Step {
 public:
  using Options = ConcatOptions;
  static constexpr std::string_view kMain = "";

  explicit Concat(std::size_t inputs) : inputs_(inputs) {}
  static Result<std::unique_ptr<Step>> make(const Options&, const StepSource& source,
                                            Problems& problems) {
    if (source.inputs >= 1 && source.inputs <= kMaxInputs) {
      return std::make_unique<Concat>(source.inputs);
    }
    report(problems, source.place,
           "concat needs a list of 1 to 256 inputs, such as inputs: [scaled, city]");
    return nullptr;
  }
  std::vector<std::string> inputs() const override {
    std::vector<std::string> out;
    for (std::size_t i = 0; i < inputs_; ++i) out.push_back("x" + std::to_string(i));
    return out;
  }
  std::vector<std::string> outputs() const override { return {"y"}; }
  std::optional<Edge> expects(std::size_t) const override { return std::nullopt; }
  std::string describe() const override { return "concat"; }

  Result<std::vector<Edge>> bind(std::span<const Edge> inputs) override {
    Edge out = inputs[0];
    auto& dims = out.spec.dims;
    out.spec.role = Role::kUnknown;
    out.classes = nullptr;
    out.spec.says_places = false;
    if (dims.size() < 2) return too_flat(inputs[0]);
    for (const auto& other : inputs.subspan(1)) {
      if (other.spec.dtype != out.spec.dtype) return differs(inputs[0], other);
      if (other.spec.dims.size() != dims.size()) return differs(inputs[0], other);
      for (std::size_t i = 0; i + 1 < dims.size(); ++i) {
        const auto there = other.spec.dims[i];
        if (dims[i] == -1) dims[i] = there;
        if (there != -1 && there != dims[i]) return differs(inputs[0], other);
      }
      const auto sum = checked_add(dims.back(), other.spec.dims.back());
      const bool known = dims.back() >= 0 && other.spec.dims.back() >= 0 && sum;
      dims.back() = known ? *sum : -1;
    }
    join_columns(inputs, out);
    return std::vector<Edge>{std::move(out)};
  }

  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override {
    Shape shape = inputs[0].shape;
    const auto last = shape.rank() - 1;
    for (const auto& other : inputs.subspan(1)) {
      for (std::size_t i = 0; i < last; ++i) {
        if (other.shape[i] != shape[i]) {
          return invalid("wrong_shape", "tensors of " + show_shape(inputs[0].shape.dims()) +
                                            " and " + show_shape(other.shape.dims()) +
                                            " cannot stand beside each other");
        }
      }
      shape[last] += other.shape[last];  // each is at most 2^28, and there are at most 256
    }
    SLUICE_TRY(const auto count, output_elements(shape));
    const auto rows = split_at(shape, last).outer;
    if (inputs[0].dtype == DType::kString) {
      join_strings(inputs, rows, count, outputs[0], arena);
    } else {
      join_bytes(inputs, rows, count, outputs[0], arena);
    }
    outputs[0].dtype = inputs[0].dtype;
    outputs[0].shape = shape;
    return {};
  }

 private:
  static Failure too_flat(const Edge& x) {
    return invalid("bad_model", "'" + x.spec.name + "' of shape " + show_shape(x.spec.dims) +
                                    " has no columns; concat takes tensors of at least two "
                                    "dimensions");
  }

  static Failure differs(const Edge& a, const Edge& b) {
    const auto show = [](const Edge& x) {
      return "'" + x.spec.name + "' (" + std::string(name_of(x.spec.dtype)) + " " +
             show_shape(x.spec.dims) + ")";
    };
    return invalid("bad_model", show(a) + " and " + show(b) +
                                    " cannot stand beside each other: types and all dimensions "
                                    "but the last must be equal; a step `cast` changes a type");
  }

  static void join_columns(std::span<const Edge> inputs, Edge& out) {
    for (const auto& other : inputs.subspan(1)) {
      out.columns.insert(out.columns.end(), other.columns.begin(), other.columns.end());
    }
    // Names for a part of the columns only are of no use.
    if (static_cast<std::int64_t>(out.columns.size()) != out.spec.dims.back()) out.columns.clear();
  }

  static void join_bytes(std::span<const TensorView> inputs, std::size_t rows, std::size_t count,
                         TensorView& out, Arena& arena) {
    const auto bytes = arena.array<std::byte>(count * size_of(inputs[0].dtype));
    std::byte* to = bytes.data();
    for (std::size_t row = 0; row < rows; ++row) {
      for (const auto& x : inputs) {
        const std::size_t width = x.data.size() / rows;
        if (width == 0) continue;
        std::memcpy(to, x.data.data() + row * width, width);
        to += width;
      }
    }
    out.data = bytes;
  }

  static void join_strings(std::span<const TensorView> inputs, std::size_t rows, std::size_t count,
                           TensorView& out, Arena& arena) {
    const auto strings = arena.array<std::string_view>(count);
    std::size_t to = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      for (const auto& x : inputs) {
        const std::size_t width = x.strings.size() / rows;
        for (std::size_t i = 0; i < width; ++i) {
          strings[to++] = arena.copy(x.strings[row * width + i]);
        }
      }
    }
    out.strings = strings;
  }

  const std::size_t inputs_;
};

}  // namespace

std::shared_ptr<const StepKind> make_concat() { return std::make_shared<SimpleKind<Concat>>(); }

}  // namespace sluice::engines
