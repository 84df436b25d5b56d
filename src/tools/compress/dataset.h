// Rows to calibrate and to evaluate a model on, as the tensors that it takes, and what is true of
// them where a table says it.
//
// Thread-safety: immutable once it is read.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/arena.h"
#include "base/error.h"
#include "core/signature.h"
#include "core/tensor.h"

namespace sluice::tools::compress {

struct DatasetOptions {
  std::string file;          // Parquet, CSV, JSON lines or .npy; or a prediction log
  std::string label;         // the column of what is true; of .npy another .npy
  bool label_given = false;  // an error where it is missing; else there are just no labels
  std::string model;         // of a prediction log: only its rows; empty: all
  std::size_t most_rows = 100'000;
  std::size_t batch = 256;  // rows at most that are given to the model at a time
};

// Rows that have the same shape. Views of the dataset's own memory.
struct DatasetBatch {
  std::vector<TensorView> inputs;  // in signature order
  std::size_t rows = 0;
  std::size_t first = 0;  // in the dataset
};

class Dataset {
 public:
  std::size_t rows() const { return rows_; }
  const std::vector<DatasetBatch>& batches() const { return batches_; }
  bool labelled() const { return !labels_.empty(); }
  // As the table writes them, one for each row: class names, class numbers or numbers. Empty: this
  // row has none.
  const std::vector<std::string>& labels() const { return labels_; }
  // Sentences for the report: rows that were left out, and why.
  const std::vector<std::string>& notes() const { return notes_; }

  // For whoever reads one. Copies the rows.
  void add(std::span<const TensorView> inputs, std::size_t rows);
  void add_label(std::string label) { labels_.push_back(std::move(label)); }
  void note(std::string sentence) { notes_.push_back(std::move(sentence)); }

 private:
  std::unique_ptr<Arena> arena_ = std::make_unique<Arena>();
  std::size_t rows_ = 0;
  std::vector<DatasetBatch> batches_;
  std::vector<std::string> labels_;
  std::vector<std::string> notes_;
};

// A .npy file is read by npy.h, a prediction log by prediction_log.h. Of other tables
// columns are matched as `sluice batch` matches them (tools/batch/binding.h), without the label's.
// Rows that the model cannot take are left out and noted. Errors: those of the table and of the
// binding; kInvalidArgument/`unknown_column` for the label, `empty_table` where no row is left.
Result<Dataset> read_dataset(const Signature& signature, const DatasetOptions& options);

}  // namespace sluice::tools::compress
