#include "tools/compress/answers.h"

#include <cmath>
#include <limits>

#include "tools/batch/predictor.h"
#include "tools/compress/stopped.h"

namespace sluice::tools::compress {
namespace {

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

class Collecting {
 public:
  Collecting(std::shared_ptr<const Servable> servable, const Dataset& dataset)
      : predictor_(std::move(servable), {}), dataset_(dataset) {
    sink_.good = [this](const Request& request, std::span<const batch::RowNotes>) {
      add(request);
      return Result<void>();
    };
    sink_.bad = [this](const std::string& reason) {
      if (reason_.empty()) reason_ = reason;
      add_nothing();
      return Result<void>();
    };
  }

  Result<Answers> collect(const std::atomic<bool>& stop) {
    for (const auto& batch : dataset_.batches()) {
      if (stop) return stopped();
      SLUICE_CHECK(predictor_.answer(batch.inputs, batch.rows, sink_));
    }
    if (out_.width > 0) return std::move(out_);
    return invalid("no_prediction", "the model answers no row of the dataset: " + reason_);
  }

 private:
  void add(const Request& request) {
    const Prediction& prediction = request.reply.prediction;
    if (out_.width == 0) begin(request);
    if (prediction.width() != out_.width) {
      for (std::size_t row = 0; row < request.rows; ++row) add_nothing();
      return;
    }
    out_.predictions.insert(out_.predictions.end(), prediction.values.begin(),
                            prediction.values.end());
    for (std::size_t row = 0; named_ && row < request.rows; ++row) {
      out_.names.emplace_back(prediction.labels.empty() ? "" : prediction.labels[row]);
    }
    add_numbers(request);
    row_ += request.rows;
  }

  void begin(const Request& request) {
    const Prediction& prediction = request.reply.prediction;
    out_.classified = prediction.classified;
    out_.width = prediction.width();
    named_ = !prediction.labels.empty();
    out_.outputs = numbers_of(request);
    const std::size_t before = std::exchange(row_, 0);
    for (std::size_t row = 0; row < before; ++row) fill_nothing();
    row_ = before;
  }

  // Of a row.
  static std::size_t numbers_of(const Request& request) {
    std::size_t out = 0;
    for (const auto& output : request.reply.outputs) {
      if (is_floating(output.dtype)) out += output.elements() / request.rows;
    }
    return out;
  }

  void add_numbers(const Request& request) {
    const bool same = numbers_of(request) == out_.outputs;
    for (std::size_t row = 0; row < request.rows; ++row) {
      if (!same) {
        out_.numbers.insert(out_.numbers.end(), out_.outputs, static_cast<float>(kNothing));
        continue;
      }
      for (const auto& output : request.reply.outputs) {
        if (!is_floating(output.dtype)) continue;
        const std::size_t width = output.elements() / request.rows;
        for (std::size_t i = 0; i < width; ++i) {
          out_.numbers.push_back(static_cast<float>(number_at(output, row * width + i)));
        }
      }
    }
  }

  void add_nothing() {
    out_.unanswered.push_back(row_);
    if (out_.width > 0) fill_nothing();
    ++row_;
  }

  void fill_nothing() {
    out_.predictions.insert(out_.predictions.end(), out_.width, kNothing);
    out_.numbers.insert(out_.numbers.end(), out_.outputs, static_cast<float>(kNothing));
    if (named_) out_.names.emplace_back();
  }

  const batch::Predictor predictor_;
  const Dataset& dataset_;
  batch::Predictor::Sink sink_;
  Answers out_;
  bool named_ = false;
  std::size_t row_ = 0;
  std::string reason_;
};

}  // namespace

Result<Answers> answer_all(std::shared_ptr<const Servable> servable, const Dataset& dataset,
                           const std::atomic<bool>& stop) {
  return Collecting(std::move(servable), dataset).collect(stop);
}

}  // namespace sluice::tools::compress
