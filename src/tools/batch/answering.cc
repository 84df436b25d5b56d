#include "tools/batch/answering.h"

#include <algorithm>
#include <cmath>

#include "base/json_writer.h"

namespace sluice::tools::batch {
namespace {

constexpr std::size_t kLongLine = 10'000;  // rows that wait, whether they are asked for or not

std::size_t count_not_finite(const Prediction& prediction, std::size_t first, std::size_t count) {
  const std::size_t width = prediction.width();
  std::size_t out = 0;
  for (std::size_t row = first; row < first + count; ++row) {
    const auto values = prediction.values.subspan(row * width, width);
    const bool finite =
        std::isfinite(prediction.confidences[row]) &&
        std::ranges::all_of(values, [](double value) { return std::isfinite(value); });
    out += finite ? 0 : 1;
  }
  return out;
}

}  // namespace

Answering::Answering(const Plan& plan, const Binding& binding, const Part& part,
                     std::span<const BrokenLine> broken, clients::TableWriter table, Counts& counts)
    : plan_(plan),
      part_(part),
      broken_(broken),
      table_(std::move(table)),
      counts_(counts),
      gather_(plan.predictor->servable().signature(), binding) {
  sink_.good = [this](const Request& request, std::span<const RowNotes> notes) {
    return write_good(request, notes);
  };
  sink_.bad = [this](const std::string& reason) -> Result<void> {
    SLUICE_CHECK(write_those_not_asked());
    take_asked(1);
    return write_bad(reason, true);
  };
}

Result<void> Answering::add(const clients::SqlChunk& chunk) {
  const std::size_t keep = plan_.binding.fields.size();
  const auto stays = [&](std::size_t row) {
    return !chunk.is_null(keep, row) && chunk.truths(keep)[row] != 0;
  };
  for (std::size_t row = 0; row < chunk.rows();) {
    SLUICE_CHECK(add_broken());
    if (!stays(row)) {
      SLUICE_CHECK(wait({State::kLeftOut, 1, {}}));
      ++row;
      continue;
    }
    if (!gather_.in_runs()) {
      SLUICE_CHECK(add_row(chunk, row));
      ++row;
      continue;
    }
    std::size_t most = std::min(chunk.rows() - row, room());
    if (!broken_.empty()) most = std::min(most, broken_.front().place - added_);
    std::size_t end = row + 1;
    while (end < row + most && stays(end)) ++end;
    if (const auto added = gather_.add_run(chunk, row, end - row); added > 0) {
      row += added;
      SLUICE_CHECK(wait({State::kAsked, added, {}}));
    } else {
      SLUICE_CHECK(add_row(chunk, row));
      ++row;
    }
  }
  return {};
}

Result<void> Answering::finish() {
  SLUICE_CHECK(add_broken());
  SLUICE_CHECK(flush());
  return table_.finish();
}

void Answering::forget() {
  counts_.rows_done -= seen_;
  counts_.bad -= bad_;
}

Result<void> Answering::add_broken() {
  while (!broken_.empty() && broken_.front().place == added_) {
    SLUICE_CHECK(wait({State::kBroken, 1, broken_.front().reason}));
    broken_ = broken_.subspan(1);
  }
  return {};
}

Result<void> Answering::add_row(const clients::SqlChunk& chunk, std::size_t row) {
  auto added = gather_.add(chunk, row);
  if (added == Gather::Added::kOther) {
    SLUICE_CHECK(flush());
    added = gather_.add(chunk, row);
  }
  if (added == Gather::Added::kGood) return wait({State::kAsked, 1, {}});
  return wait({State::kBad, 1, gather_.reason()});
}

Result<void> Answering::wait(Waiting next) {
  waiting_ += next.rows;
  added_ += next.rows;
  const bool same = !line_.empty() && line_.back().state == next.state;
  if (same && next.reason.empty()) {
    line_.back().rows += next.rows;
  } else {
    line_.push_back(std::move(next));
  }
  const bool full = room() == 0 || waiting_ >= std::max(4 * plan_.options.batch_size, kLongLine);
  return full ? flush() : Result<void>();
}

Result<void> Answering::flush() {
  SLUICE_CHECK(plan_.predictor->answer(gather_.inputs(), gather_.rows(), sink_));
  SLUICE_CHECK(write_those_not_asked());
  counts_.rows_done += waiting_;
  seen_ += waiting_;
  waiting_ = 0;
  gather_.clear();
  return {};
}

Result<void> Answering::write_those_not_asked() {
  for (; !line_.empty() && line_.front().state != State::kAsked; line_.pop_front()) {
    const Waiting& first = line_.front();
    if (first.state == State::kLeftOut) {
      SLUICE_CHECK(write_nothing(table_, plan_.answers, first.rows, false));
      place_ += first.rows;
    } else {
      SLUICE_CHECK(write_bad(first.reason, first.state == State::kBad));
    }
  }
  return {};
}

void Answering::take_asked(std::size_t rows) {
  line_.front().rows -= rows;
  if (line_.front().rows == 0) line_.pop_front();
}

Result<void> Answering::write_good(const Request& request, std::span<const RowNotes> notes) {
  for (std::size_t row = 0; row < request.rows;) {
    SLUICE_CHECK(write_those_not_asked());
    const std::size_t count = std::min(request.rows - row, line_.front().rows);
    SLUICE_CHECK(write_answers(table_, plan_.answers, request, row, count, notes));
    take_asked(count);
    not_finite_ += count_not_finite(request.reply.prediction, row, count);
    row += count;
    written_ += count;
    place_ += count;
  }
  return {};
}

Result<void> Answering::write_bad(const std::string& reason, bool has_place) {
  const std::uint64_t place = place_++;
  if (plan_.options.on_error == OnError::kFail) {
    return bad_row(row_words(plan_.input, part_, place), reason);
  }
  ++bad_;
  ++counts_.bad;
  JsonWriter json(bad_lines_);
  json.begin_object().field("row", part_.first_row + place + 1);
  if (plan_.input.files.size() > 1) {
    const auto& file = plan_.input.files[part_.file].path;
    json.field("file", std::string_view(file.filename().native()));
    json.field("row_in_file", part_.row_in_file + place + 1);
  }
  json.field("reason", std::string_view(reason)).end_object();
  bad_lines_ += '\n';
  if (!has_place) return {};
  const bool keep = plan_.options.on_error == OnError::kNull;
  if (keep) ++written_;
  return write_nothing(table_, plan_.answers, 1, keep);
}

}  // namespace sluice::tools::batch
