// The features of a prediction log's line, as rows for a model.
//
// Thread-safety: one owner.
#pragma once

#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include "core/signature.h"
#include "tools/compress/row_builder.h"

namespace sluice::tools::compress {

class LogFeatures {
 public:
  LogFeatures(const Signature& signature, RowBuilder& builder, std::size_t most_rows)
      : signature_(signature), builder_(builder), most_rows_(most_rows) {}

  // As the line has them: a list, a list of rows, or an object of either. `label` is of a line with
  // one row; whose it would be of several, nobody knows.
  void add(const nlohmann::json& features, const std::string& label);
  bool full() const { return builder_.rows() >= most_rows_; }

  std::size_t hashed() const { return hashed_; }  // lines
  std::size_t unwritten() const { return unwritten_; }

 private:
  // An input's list in an object of them, or null.
  const nlohmann::json* part(const nlohmann::json& features, std::size_t input) const;
  void add_rows(const std::vector<const nlohmann::json*>& parts, const std::string& label);
  bool add_values(std::size_t input, const nlohmann::json& values);
  bool add_value(std::size_t input, const nlohmann::json& value);

  const Signature& signature_;
  RowBuilder& builder_;
  std::size_t most_rows_;
  std::size_t hashed_ = 0;
  std::size_t unwritten_ = 0;
};

}  // namespace sluice::tools::compress
