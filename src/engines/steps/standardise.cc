// standardise: (x - mean) / scale for each column, as scikit-learn's StandardScaler does. The
// numbers are listed, or in a file beside the pipeline: JSON {"mean": [...], "scale": [...]}, or
// CSV with the columns `mean` and `scale` and a line for each column of x.

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engines/steps/kinds.h"
#include "engines/steps/unary.h"

namespace sluice::engines {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxFile = std::size_t{16} << 20;

struct StandardiseOptions {
  std::vector<double> mean;
  std::vector<double> scale;
  std::string file;
  static const Schema<StandardiseOptions>& schema() {
    static const auto kSchema =
        Schema<StandardiseOptions>()
            .option("mean", &StandardiseOptions::mean, "what is taken off, for each column")
            .option("scale", &StandardiseOptions::scale, "what it is divided by, for each column")
            .option("file", &StandardiseOptions::file, "a JSON or CSV file with both");
    return kSchema;
  }
};

Result<std::vector<double>> numbers_of(const json& root, const char* key) {
  std::vector<double> out;
  const auto found = root.find(key);
  if (found == root.end() || found->is_null()) return out;
  const bool good = found->is_array() &&
                    std::ranges::all_of(*found, [](const auto& each) { return each.is_number(); });
  if (!good) return invalid("bad_model", "'" + std::string(key) + "' must be a list of numbers");
  for (const auto& each : *found) out.push_back(each.get<double>());
  return out;
}

// Where the text stops being JSON. NumPy's NaN is the usual reason.
std::string no_json(std::string_view text, std::size_t byte) {
  const auto at = std::min(byte == 0 ? 0 : byte - 1, text.size());
  const auto before = text.substr(0, at);
  if (at == text.size()) return "it is no JSON: it ends too early";
  const auto line = std::ranges::count(before, '\n') + 1;
  const auto column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0
  return "it is no JSON from line " + std::to_string(line) + ", column " + std::to_string(column) +
         " on: '" + printable(text.substr(at), 16) + "'; NaN and infinity are none, either";
}

Result<void> check_keys(const std::vector<std::string>& keys) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] != "mean" && keys[i] != "scale") {
      return invalid("bad_model", unknown_key_message(keys[i], {"mean", "scale"}));
    }
    if (std::count(keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(i), keys[i]) > 0) {
      return invalid("bad_model", "key '" + keys[i] + "' is given twice");
    }
  }
  return {};
}

Result<void> read_json(std::string_view text, StandardiseOptions& options) {
  json root;
  std::vector<std::string> keys;
  try {
    root = json::parse(text, [&](int depth, json::parse_event_t event, const json& parsed) {
      const bool own = event == json::parse_event_t::key && depth == 1;
      if (own) keys.push_back(parsed.get<std::string>());
      return true;
    });
  } catch (const json::parse_error& error) {
    return invalid("bad_model", no_json(text, error.byte));
  } catch (const json::exception&) {  // a number that no double holds
    return invalid("bad_model", "a number in it is too large");
  }
  if (!root.is_object()) return invalid("bad_model", "it is no JSON object");
  SLUICE_CHECK(check_keys(keys));
  SLUICE_TRY(options.mean, numbers_of(root, "mean"));
  SLUICE_TRY(options.scale, numbers_of(root, "scale"));
  return {};
}

std::string_view unquoted(std::string_view cell) {
  const bool quoted = cell.size() >= 2 && cell.front() == '"' && cell.back() == '"';
  return quoted ? cell.substr(1, cell.size() - 2) : cell;
}

using Targets = std::vector<std::vector<double>*>;

// Where the numbers of each column go; null: nowhere, it says what the line is about.
Result<Targets> read_header(std::string_view line, StandardiseOptions& options) {
  // "" as pandas calls its index.
  static constexpr std::array<std::string_view, 4> kNames = {"", "column", "name", "feature"};
  Targets out;
  for (const auto cell : split(line, ',')) {
    const auto word = unquoted(trim(cell));
    std::vector<double>* const target = word == "mean"    ? &options.mean
                                        : word == "scale" ? &options.scale
                                                          : nullptr;
    if (target == nullptr && std::ranges::count(kNames, word) == 0) {
      const std::vector<std::string_view> known = {"mean", "scale", "column"};
      return invalid("bad_model", "its first line has a column '" + printable(word) +
                                      "'; known are mean, scale and, for names that are not used, "
                                      "column" +
                                      did_you_mean(word, known));
    }
    if (target != nullptr && std::ranges::count(out, target) > 0) {
      return invalid("bad_model", "its first line has '" + std::string(word) + "' twice");
    }
    out.push_back(target);
  }
  return out;
}

Result<void> read_csv(std::string_view text, StandardiseOptions& options) {
  const auto lines = split(text, '\n');
  const auto line_at = [&](std::size_t i) { return trim(lines[i].substr(0, lines[i].find('\r'))); };
  SLUICE_TRY(const auto columns, read_header(line_at(0), options));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (line_at(i).empty()) continue;
    const auto cells = split(line_at(i), ',');
    const std::string line = "line " + std::to_string(i + 1);
    if (cells.size() > columns.size()) {
      return invalid("bad_model", line + " has more columns than the first line");
    }
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (columns[c] == nullptr) continue;
      const auto value = c < cells.size() ? parse_double(trim(cells[c])) : std::nullopt;
      if (!value) return invalid("bad_model", line + " has no number");
      columns[c]->push_back(*value);
    }
  }
  return {};
}

Failure unusable(const std::string& file, const std::string& why) {
  return invalid("bad_model", "the file '" + printable(file) + "' cannot be used: " + why);
}

Result<void> read_file(const StepSource& source, StandardiseOptions& options) {
  SLUICE_TRY(const auto bytes, open_step_file(source.directory, options.file, kMaxFile));
  const auto text = text_of(bytes);
  const auto read =
      options.file.ends_with(".csv") ? read_csv(text, options) : read_json(text, options);
  return read ? Result<void>() : unusable(options.file, read.error().message);
}

// What is wrong with the numbers, or nothing.
std::string fault_of(const StandardiseOptions& options) {
  const auto& [mean, scale, file] = options;
  if (mean.empty() && scale.empty()) {
    return file.empty() ? "standardise needs mean, scale or both, or a file"
                        : "it has neither mean nor scale";
  }
  if (!mean.empty() && !scale.empty() && mean.size() != scale.size()) {
    return "standardise has " + std::to_string(mean.size()) + " means and " +
           std::to_string(scale.size()) + " scales; there must be one of each for a column";
  }
  for (std::size_t i = 0; i < scale.size(); ++i) {
    if (!std::isfinite(scale[i]) || scale[i] == 0) {
      return "scale " + std::to_string(i) + " is 0 or no number: it cannot be divided by";
    }
  }
  for (const double each : mean) {
    if (!std::isfinite(each)) return "a mean is not a finite number";
  }
  return {};
}

class Standardise final : public UnaryStep {
 public:
  using Options = StandardiseOptions;
  static constexpr std::string_view kMain = "file";

  explicit Standardise(Options options)
      : mean_(std::move(options.mean)), scale_(std::move(options.scale)) {
    const auto width = std::max(mean_.size(), scale_.size());
    mean_.resize(width, 0.0);
    scale_.resize(width, 1.0);
  }
  static Result<std::unique_ptr<Step>> make(Options options, const StepSource& source,
                                            Problems& problems) {
    if (!options.file.empty()) {
      if (!options.mean.empty() || !options.scale.empty()) {
        report(problems, source.place, "standardise has a file and numbers; give one of them");
        return nullptr;
      }
      SLUICE_CHECK(read_file(source, options));
    }
    const auto fault = fault_of(options);
    if (fault.empty()) return std::make_unique<Standardise>(std::move(options));
    if (!options.file.empty()) return unusable(options.file, fault);
    report(problems, source.place, fault);
    return nullptr;
  }

  std::optional<Edge> expects(std::size_t) const override {
    Edge out;
    out.spec.dims = {-1, static_cast<std::int64_t>(mean_.size())};
    return out;
  }
  bool keeps_columns() const override { return true; }
  std::string describe() const override {
    return "standardise of " + std::to_string(mean_.size()) + " columns";
  }

 protected:
  Result<Edge> bind_one(const Edge& x) override {
    if (x.spec.dtype == DType::kString) return not_numbers(x);
    const auto width = static_cast<std::int64_t>(mean_.size());
    const auto& dims = x.spec.dims;
    if (dims.size() < 2 || dims.back() != width) {
      return invalid("bad_model", "it has numbers for " + std::to_string(width) +
                                      " columns, but '" + x.spec.name + "' has shape " +
                                      show_shape(dims));
    }
    Edge out = x;
    out.classes = nullptr;
    out.spec.role = Role::kUnknown;
    out.spec.says_places = false;
    out.spec.dtype = x.spec.dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    return out;
  }

  Result<void> run_one(const TensorView& x, TensorView& y, Arena& arena) const override {
    SLUICE_TRY(const auto count, output_elements(x.shape));
    if (x.dtype == DType::kFloat64) {
      scale(x, make_output<double>(DType::kFloat64, x.shape, count, y, arena));
    } else {
      scale(x, make_output<float>(DType::kFloat32, x.shape, count, y, arena));
    }
    return {};
  }

 private:
  // In double, so that large means do not cancel what is left.
  template <class T>
  void scale(const TensorView& x, std::span<T> out) const {
    const std::size_t width = mean_.size();
    with_numbers(x, [&](auto at) {
      for (std::size_t row = 0; row < out.size(); row += width) {
        for (std::size_t i = 0; i < width; ++i) {
          out[row + i] = static_cast<T>((at(row + i) - mean_[i]) / scale_[i]);
        }
      }
    });
  }

  std::vector<double> mean_;
  std::vector<double> scale_;
};

}  // namespace

std::shared_ptr<const StepKind> make_standardise() {
  return std::make_shared<SimpleKind<Standardise>>();
}

}  // namespace sluice::engines
