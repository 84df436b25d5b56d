// A model that answers each row of numbers by a formula, for tests that explain it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/engine.h"
#include "core/servable.h"

namespace sluice::serving::testing {

struct FormulaOptions {
  std::size_t width = 3;    // of the only input; with `apart`, so many inputs of one number each
  std::size_t answers = 1;  // of a row
  Role role = Role::kValue;
  DType dtype = DType::kFloat32;
  bool apart = false;
  bool explains = false;  // its own attributions: values by 1, 2, 3 …, of as many groups as answers
  std::int64_t first_dim = -1;
  bool refuses_zero = false;  // a run fails where a row begins with 0
};

class Formula final : public Model {
 public:
  // Fills a row's answers.
  using Function = std::function<void(std::span<const double> row, std::span<double> out)>;

  Formula(FormulaOptions options, Function function);
  const Signature& signature() const override { return signature_; }
  Result<void> run(std::span<const TensorView> inputs, std::span<TensorView> outputs,
                   Arena& arena) const override;
  bool explains() const override { return options_.explains; }
  Result<Attributions> explain(std::span<const TensorView> inputs, Arena& arena) const override;
  std::string_view platform() const override { return "test"; }
  std::vector<Fact> facts() const override { return {{"kind", "test"}}; }
  std::uint64_t parameters() const override { return 0; }

  std::size_t rows_asked() const { return rows_asked_; }
  std::size_t most_at_once() const { return most_at_once_; }

 private:
  const FormulaOptions options_;
  const Function function_;
  Signature signature_;
  mutable std::atomic<std::size_t> rows_asked_{0};
  mutable std::atomic<std::size_t> most_at_once_{0};
};

// A version that serves it, and the formula.
struct Served {
  Served(FormulaOptions options, Formula::Function function, const ModelConfig& config = {});
  const Formula* model = nullptr;
  std::shared_ptr<const Servable> servable;  // null: `error` says why
  std::optional<Error> error;
};

}  // namespace sluice::serving::testing
