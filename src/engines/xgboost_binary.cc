#include "engines/xgboost_binary.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "engines/xgboost_walk.h"

namespace sluice::engines {
namespace {

// Bytes of XGBoost's records (its learner.cc, gbtree_model.h, tree_model.h and gblinear_model.h).
constexpr std::size_t kLearnerBytes = 136;
constexpr std::size_t kTreesBytes = 160;
constexpr std::size_t kTreeBytes = 148;
constexpr std::size_t kNodeBytes = 20;
constexpr std::size_t kNodeStatBytes = 16;
constexpr std::size_t kLinearBytes = 136;

constexpr std::string_view kMark = "binf";  // not in the first versions

// Attributes are JSON in it: what matters is that they can be walked.
class Nobody final : public XgboostEvents {
 public:
  void begin(bool /*object*/) override {}
  void end() override {}
  void key(std::string_view /*name*/) override {}
  void text(std::string_view /*value*/) override {}
  void whole(std::int64_t /*value*/) override {}
  void others(std::size_t /*count*/) override {}
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes), size_(bytes.size()) {
    if (bytes_.starts_with(kMark)) bytes_.remove_prefix(kMark.size());
  }

  // The first record and the names behind it.
  Result<void> head() {
    SLUICE_TRY(const auto record, take(kLearnerBytes));
    parts_.features = field<std::uint32_t>(record, 4);
    parts_.classes = field<std::int32_t>(record, 8);
    has_attributes_ = field<std::int32_t>(record, 12) != 0;
    has_metrics_ = field<std::int32_t>(record, 16) != 0;
    parts_.targets = std::max<std::uint32_t>(field<std::uint32_t>(record, 28), 1);
    SLUICE_TRY(objective_, text());
    SLUICE_TRY(parts_.booster, text());
    return {};
  }

  bool plausible() {
    const auto is_name = [](std::string_view text) {
      return !text.empty() && text.size() < 64 &&
             std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7F; });
    };
    return head() && is_name(objective_) && is_name(parts_.booster);
  }

  Result<XgboostParts> run() {
    SLUICE_CHECK(head());
    SLUICE_CHECK(parts_.booster == "gblinear" ? linear() : trees());
    if (has_attributes_) SLUICE_CHECK(attributes());
    // Versions before 1.0 wrote the names of metrics there, which XGBoost does not read any more.
    if (!bytes_.empty() && !has_metrics_) {
      return damaged_xgboost(fmt::format("{} bytes follow its end", bytes_.size()));
    }
    SLUICE_CHECK(check_parts(parts_, size_));
    return std::move(parts_);
  }

 private:
  // Numbers are as this kind of processor has them.
  template <class T>
  static T field(std::string_view record, std::size_t at) {
    T out;
    std::memcpy(&out, record.data() + at, sizeof(out));
    return out;
  }

  Result<std::string_view> take(std::uint64_t size) {
    if (size > bytes_.size()) {
      return damaged_xgboost(
          fmt::format("{} bytes at byte {} go on behind its end", size, size_ - bytes_.size()));
    }
    const auto out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }

  // A list's or a text's, of which each part has `width` bytes.
  Result<std::string_view> list(std::uint64_t width) {
    SLUICE_TRY(const auto length, take(sizeof(std::uint64_t)));
    const auto size = checked_mul(field<std::uint64_t>(length, 0), width);
    return take(size.value_or(UINT64_MAX));
  }

  Result<std::string> text() {
    SLUICE_TRY(const auto found, list(1));
    return std::string(found);
  }

  Result<void> linear() {
    SLUICE_CHECK(take(kLinearBytes));
    SLUICE_TRY(const auto weights, list(sizeof(float)));
    parts_.has_weights = true;
    parts_.weights = weights.size() / sizeof(float);
    return {};
  }

  Result<void> trees() {
    SLUICE_TRY(const auto record, take(kTreesBytes));
    const auto count = field<std::int32_t>(record, 0);
    parts_.trees_said = count;
    parts_.parallel = field<std::int32_t>(record, 4);
    if (count < 0) return damaged_xgboost(fmt::format("it says {} trees", count));
    for (std::int32_t i = 0; i < count; ++i) SLUICE_CHECK(tree(i));
    SLUICE_TRY(const auto groups, take(static_cast<std::uint64_t>(count) * sizeof(std::int32_t)));
    for (std::size_t i = 0; i < groups.size(); i += sizeof(std::int32_t)) {
      parts_.groups.push_back(field<std::int32_t>(groups, i));
    }
    if (parts_.booster != "dart" || count == 0) return {};
    SLUICE_TRY(const auto dropped, list(sizeof(float)));
    parts_.dropped = dropped.size() / sizeof(float);
    return {};
  }

  Result<void> tree(std::int32_t number) {
    tree_.clear();
    tree_.has_parents = false;
    SLUICE_TRY(const auto record, take(kTreeBytes));
    const auto count = field<std::int32_t>(record, 4);
    if (count < 1) return damaged_xgboost(fmt::format("tree {} says {} nodes", number, count));
    tree_.nodes = count;
    SLUICE_TRY(const auto nodes, take(static_cast<std::uint64_t>(count) * kNodeBytes));
    SLUICE_CHECK(take(static_cast<std::uint64_t>(count) * kNodeStatBytes));
    for (std::size_t i = 0; i < nodes.size(); i += kNodeBytes) {
      tree_.left.push_back(field<std::int32_t>(nodes, i + 4));
      tree_.right.push_back(field<std::int32_t>(nodes, i + 8));
      // The highest bit says where missing values go.
      const auto feature = field<std::uint32_t>(nodes, i + 12) & 0x7FFFFFFFU;
      tree_.feature.push_back(static_cast<std::int32_t>(feature));
    }
    parts_.ids.push_back(number);
    return add_sound_tree(tree_, parts_);
  }

  Result<void> attributes() {
    SLUICE_TRY(const auto length, take(sizeof(std::uint64_t)));
    const auto count = field<std::uint64_t>(length, 0);
    // Two texts have at least their lengths: XGBoost makes room for all before it reads one.
    if (count > bytes_.size() / 16) {
      return damaged_xgboost(fmt::format("it says {} attributes", count));
    }
    for (std::uint64_t i = 0; i < count; ++i) {
      SLUICE_TRY(const auto name, text());
      SLUICE_TRY(const auto value, text());
      if (name == "best_iteration") parts_.best_iteration = read_best_iteration(value);
      Nobody nobody;
      if (name == "objective") SLUICE_CHECK(walk_xgboost_json(value, nobody));
    }
    return {};
  }

  std::string_view bytes_;  // that are not read yet
  const std::size_t size_;
  XgboostParts parts_;
  XgboostTree tree_;
  std::string objective_;
  bool has_attributes_ = false;
  bool has_metrics_ = false;
};

}  // namespace

bool looks_like_xgboost_binary(std::string_view bytes) { return Reader(bytes).plausible(); }

Result<XgboostParts> check_xgboost_binary(std::string_view bytes) { return Reader(bytes).run(); }

}  // namespace sluice::engines
