#include "tools/compress/row_builder.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "tools/batch/element.h"

namespace sluice::tools::compress {

using batch::Misfit;

RowBuilder::RowBuilder(const Signature& signature, std::size_t batch)
    : signature_(signature),
      batch_(signature.batchable() ? std::max<std::size_t>(batch, 1) : 1),
      inputs_(signature.inputs.size()) {}

void RowBuilder::begin() {
  for (auto& input : inputs_) {
    input.row.clear();
    input.row_texts.clear();
    input.given.clear();
    input.count = 0;
  }
}

bool RowBuilder::bad(std::size_t input, std::string_view what) {
  reason_ = "input '" + printable(signature_.inputs[input].name) + "' " + std::string(what);
  return false;
}

template <class Value>
bool RowBuilder::store(std::size_t input, Value value) {
  const auto dtype = signature_.inputs[input].dtype;
  if (dtype == DType::kString) return bad(input, "takes texts, and there is a number");
  auto& row = inputs_[input].row;
  const std::size_t at = row.size();
  row.resize(at + size_of(dtype));
  const auto misfit = batch::store_element(dtype, row.data() + at, value);
  if (misfit != Misfit::kNone) return bad(input, batch::say(misfit, dtype));
  ++inputs_[input].count;
  return true;
}

bool RowBuilder::add(std::size_t input, double value) { return store(input, value); }
bool RowBuilder::add(std::size_t input, std::int64_t value) { return store(input, value); }
bool RowBuilder::add(std::size_t input, std::uint64_t value) { return store(input, value); }

bool RowBuilder::add(std::size_t input, std::string_view text) {
  if (signature_.inputs[input].dtype != DType::kString) {
    return bad(input, "takes numbers, and there is a text");
  }
  inputs_[input].row_texts.emplace_back(text);
  ++inputs_[input].count;
  return true;
}

bool RowBuilder::add_missing(std::size_t input) {
  if (is_floating(signature_.inputs[input].dtype)) {
    return add(input, std::numeric_limits<double>::quiet_NaN());
  }
  return bad(input, "has no value, and the model takes none for missing ones there");
}

void RowBuilder::shape(std::size_t input, std::span<const std::int64_t> dims) {
  inputs_[input].given.assign(dims.begin(), dims.end());
}

bool RowBuilder::dims_of(std::size_t input, Shape& out) {
  const auto wanted = signature_.inputs[input].table_dims();
  const auto& given = inputs_[input].given;
  const std::size_t count = inputs_[input].count;
  std::size_t fixed = 1;
  for (const auto dim : wanted) fixed *= static_cast<std::size_t>(std::max<std::int64_t>(dim, 1));
  const auto free = std::ranges::count_if(wanted, [](std::int64_t dim) { return dim < 0; });
  const bool same = given.size() == wanted.size() &&
                    std::ranges::equal(given, wanted, [](std::int64_t one, std::int64_t dim) {
                      return dim < 0 || one == dim;
                    });
  const bool enough =
      free == 0 ? count == fixed : free == 1 && fixed > 0 && count > 0 && count % fixed == 0;
  if (!same && !enough) {
    return bad(input, "has " + std::to_string(count) + " values in a row; expected the shape " +
                          show_shape(wanted));
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto rest = static_cast<std::int64_t>(fixed == 0 ? 0 : count / fixed);
    if (!out.push(same ? given[i] : wanted[i] < 0 ? rest : wanted[i])) return false;
  }
  return true;
}

bool RowBuilder::end(std::string label) {
  std::vector<Shape> dims(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!dims_of(i, dims[i])) return false;
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (waiting_ > 0 && !(dims[i] == inputs_[i].dims)) flush();
  }
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    auto& input = inputs_[i];
    input.dims = dims[i];
    input.bytes.insert(input.bytes.end(), input.row.begin(), input.row.end());
    std::ranges::move(input.row_texts, std::back_inserter(input.texts));
  }
  labels_.push_back(std::move(label));
  if (++waiting_ >= batch_) flush();
  begin();
  return true;
}

void RowBuilder::leave_out() {
  if (left_out_++ == 0) first_reason_ = reason_;
  begin();
}

void RowBuilder::flush() {
  if (waiting_ == 0) return;
  std::vector<TensorView> views(inputs_.size());
  std::vector<std::vector<std::string_view>> texts(inputs_.size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    texts[i].assign(inputs_[i].texts.begin(), inputs_[i].texts.end());
    views[i].dtype = signature_.inputs[i].dtype;
    if (signature_.inputs[i].counts_rows()) {
      views[i].shape.push(static_cast<std::int64_t>(waiting_));
    }
    for (const auto dim : inputs_[i].dims.dims()) views[i].shape.push(dim);
    views[i].data = inputs_[i].bytes;
    views[i].strings = texts[i];
  }
  out_.add(views, waiting_);
  for (auto& input : inputs_) {
    input.bytes.clear();
    input.texts.clear();
  }
  waiting_ = 0;
}

Result<Dataset> RowBuilder::finish(const std::string& name) {
  flush();
  if (left_out_ > 0) {
    out_.note(std::to_string(left_out_) + " rows of " + name +
              " were left out, which the model cannot take; the first: " + first_reason_);
  }
  if (labels_.empty()) {
    return invalid("empty_table", name + " has no row that the model can take" +
                                      (left_out_ > 0 ? ": " + first_reason_ : ""));
  }
  const bool labelled = std::ranges::any_of(labels_, [](const auto& one) { return !one.empty(); });
  for (auto& label : labels_) {
    if (labelled) out_.add_label(std::move(label));
  }
  return std::move(out_);
}

}  // namespace sluice::tools::compress
