// A model that teaches another: rows of numbers go in, and what is to be learned of them comes out.
//
// Thread-safety: one owner.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/engine.h"
#include "tools/compress/method.h"
#include "tools/compress/mlp.h"

namespace sluice::tools::compress {

// What is taught of a teacher's outputs: the probabilities of its classes where it has any, else
// the class, else numbers.
struct Subject {
  std::size_t output = 0;  // of the signature
  Role role = Role::kValue;
  Lesson lesson = Lesson::kValues;
  std::size_t width = 0;  // numbers of a row: classes, 1 for kBinary, or the output's own
};

// Rows of numbers, NaN where one is missing; no infinities.
struct TeachingRows {
  std::size_t columns = 0;
  std::vector<float> values;
  std::size_t count() const { return columns == 0 ? 0 : values.size() / columns; }
  std::span<const float> row(std::size_t at) const {
    return {values.data() + at * columns, columns};
  }
  void add(std::span<const float> row) { values.insert(values.end(), row.begin(), row.end()); }
};

// Rows, and for each what is true of it by the teacher.
struct Lessons {
  TeachingRows rows;
  std::vector<float> targets;  // rows × Subject::width: probabilities or numbers
  std::size_t unanswered = 0;  // rows that were left out: the teacher says NaN or infinity
};

class Teacher {
 public:
  // `rows` are of the shape that the teacher is taught by, where its own is free. Errors: the
  // lab's; kInvalidArgument/`not_compressible` for a model that does not take one table of numbers.
  static Result<Teacher> load(const Task& task);

  const Signature& signature() const { return model_->signature(); }
  // Of a row, without the first; all known.
  const std::vector<std::int64_t>& row_dims() const { return row_dims_; }
  std::size_t columns() const { return columns_; }
  // After the first `ask`.
  const Subject& subject() const { return subject_; }

  // Given rows as numbers; those with infinities are left out.
  TeachingRows rows_of(const Dataset& dataset) const;
  // Errors: the engine's; kCancelled; kInvalidArgument/`not_compressible` where the answers teach
  // nothing.
  Result<Lessons> ask(TeachingRows rows, const std::atomic<bool>& stop,
                      const std::function<void(double done)>& progress);

 private:
  Result<void> find_row_dims(const Task& task);
  Result<void> run(std::span<const float> rows, std::vector<double>& out) const;
  Result<void> settle_subject(std::span<const double> raw, std::size_t rows);
  void add_target(std::span<const double> raw, std::vector<float>& out) const;

  std::unique_ptr<Model> model_;
  std::vector<std::int64_t> row_dims_;
  std::size_t columns_ = 0;
  Subject subject_;
};

// The class that a row of targets, or a student's, stands for.
std::size_t class_of(std::span<const float> target);

}  // namespace sluice::tools::compress
