// Rows go through a version of a model the way that `sluice predict` takes (Servable::run), many at
// a time.
//
// A row that the model cannot take makes it refuse all that came with it. Then they are halved
// until the row is found: it is bad, and the others get their answers. Failures that are not of the
// rows (memory, a worker that ended) end the whole.
//
// Thread-safety: `answer` may be called by any number of threads; models that only one thread may
// run take turns.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "core/request.h"
#include "core/servable.h"
#include "tools/batch/answers.h"

namespace sluice::tools::batch {

class Predictor {
 public:
  Predictor(std::shared_ptr<const Servable> servable, AnswerOptions options)
      : servable_(std::move(servable)), options_(options) {}

  // Told of every row of `inputs` once, in order.
  struct Sink {
    // All rows of an answered request. Notes: one for each row, or none at all.
    std::function<Result<void>(const Request&, std::span<const RowNotes>)> good;
    std::function<Result<void>(const std::string& reason)> bad;
  };
  // `inputs`: in signature order, `rows` of them. Errors: the model's, and the sink's.
  Result<void> answer(std::span<const TensorView> inputs, std::size_t rows, const Sink& sink) const;

  const Servable& servable() const { return *servable_; }

 private:
  RequestPtr ask(std::span<const TensorView> inputs, std::size_t first, std::size_t count) const;
  Result<void> answer(std::span<const TensorView> inputs, std::size_t first, std::size_t count,
                      const Sink& sink) const;
  Result<void> tell(Request& request, std::span<const TensorView> inputs, std::size_t first,
                    const Sink& sink) const;
  // What the guard says of each row; empty where it says nothing of any.
  std::vector<std::string> guarded(Request& request, std::span<const TensorView> inputs,
                                   std::size_t first) const;
  Result<std::vector<std::string>> explained(std::span<const TensorView> inputs, std::size_t first,
                                             std::size_t count) const;

  std::shared_ptr<const Servable> servable_;
  AnswerOptions options_;
};

}  // namespace sluice::tools::batch
