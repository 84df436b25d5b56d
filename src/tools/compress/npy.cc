#include "tools/compress/npy.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>

#include "base/file.h"
#include "clients/duckdb_files.h"
#include "tools/compress/npy_header.h"
#include "tools/compress/row_builder.h"

namespace sluice::tools::compress {
namespace {

constexpr std::size_t kAtOnce = std::size_t{1} << 20;  // bytes

// An array's rows, a few at a time.
class NpyFile {
 public:
  static Result<NpyFile> open(const std::string& file) {
    NpyFile out;
    out.name_ = clients::shown_name(file);
    out.fd_ = Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!out.fd_ && errno == ENOENT) {
      return not_found("no_table", "there is no file " + out.name_ + "; check its name");
    }
    struct stat status {};
    if (!out.fd_ || ::fstat(out.fd_.get(), &status) != 0) return out.unreadable();
    if (!S_ISREG(status.st_mode)) {
      return invalid("bad_table", out.name_ + " is no regular file; expected one of numpy.save");
    }
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::vector<std::byte> front(std::min<std::uint64_t>(size, kMostNpyHeader));
    SLUICE_CHECK(out.read_at(0, front));
    SLUICE_TRY(out.header_, read_npy_header(front, out.name_));
    SLUICE_CHECK(out.check_size(size));
    return out;
  }

  const std::string& name() const { return name_; }
  DType dtype() const { return header_.dtype; }
  std::span<const std::int64_t> shape() const { return header_.shape; }
  std::size_t rows() const { return static_cast<std::size_t>(header_.shape[0]); }
  // Elements.
  std::size_t row_width() const { return row_bytes() / size_of(header_.dtype); }

  // Rows `first` to `last`.
  Result<TensorView> read(std::size_t first, std::size_t last) {
    buffer_.resize((last - first) * row_bytes());
    SLUICE_CHECK(read_at(header_.begin + first * row_bytes(), buffer_));
    TensorView out;
    out.dtype = header_.dtype;
    out.data = buffer_;
    return out;
  }
  std::size_t rows_at_once() const {
    return std::max<std::size_t>(1, kAtOnce / std::max<std::size_t>(1, row_bytes()));
  }

 private:
  std::size_t row_bytes() const { return static_cast<std::size_t>(header_.bytes) / rows(); }

  Failure unreadable() const {
    return unavailable("unreadable", name_ + " cannot be read: " + std::strerror(errno));
  }

  Result<void> check_size(std::uint64_t size) const {
    const std::uint64_t there = size - header_.begin;
    if (header_.bytes != there) {
      return invalid("bad_table",
                     name_ +
                         (header_.bytes > there ? " is cut off: it has " : " goes on: it has ") +
                         std::to_string(there) + " bytes of elements, and its header says " +
                         std::to_string(header_.bytes));
    }
    if (header_.shape.empty()) {
      return invalid("wrong_columns", name_ +
                                          " is one number; expected an array whose first "
                                          "dimension is the rows'");
    }
    if (header_.bytes == 0) return invalid("empty_table", name_ + " has no values");
    return {};
  }

  Result<void> read_at(std::uint64_t at, std::span<std::byte> to) const {
    while (!to.empty()) {
      const auto got = ::pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return unreadable();
      if (got == 0) {
        return unavailable("changing", name_ + " became shorter while it was read");
      }
      at += static_cast<std::uint64_t>(got);
      to = to.subspan(static_cast<std::size_t>(got));
    }
    return {};
  }

  Fd fd_;
  std::string name_;
  NpyHeader header_;
  std::vector<std::byte> buffer_;
};

bool add(RowBuilder& builder, const TensorView& values, std::size_t i) {
  if (values.dtype == DType::kInt64) return builder.add(0, values.as<std::int64_t>()[i]);
  if (values.dtype == DType::kUint64) return builder.add(0, values.as<std::uint64_t>()[i]);
  const double value = number_at(values, i);
  return std::isnan(value) ? builder.add_missing(0) : builder.add(0, value);
}

std::string label_of(const TensorView& values, std::size_t i) {
  if (values.dtype == DType::kInt64) return std::to_string(values.as<std::int64_t>()[i]);
  if (values.dtype == DType::kUint64) return std::to_string(values.as<std::uint64_t>()[i]);
  const double value = number_at(values, i);
  return std::isnan(value) ? std::string() : fmt::format("{}", value);
}

// A row of the file is a row of the model's: in its shape, or flat.
Result<void> check_shape(const Signature& signature, const NpyFile& file) {
  if (signature.inputs.size() != 1) {
    return invalid("wrong_columns", "the model has " + std::to_string(signature.inputs.size()) +
                                        " inputs, and " + file.name() +
                                        " is of one; write a table with a column for each");
  }
  const TensorSpec& spec = signature.inputs[0];
  const auto wanted = spec.table_dims();
  const auto row = file.shape().subspan(1);
  SLUICE_CHECK(element_count(row));  // what a tensor may hold
  std::int64_t fixed = 1;
  for (const auto dim : wanted) fixed *= std::max<std::int64_t>(dim, 1);
  const auto free = std::ranges::count_if(wanted, [](std::int64_t dim) { return dim < 0; });
  const bool same = std::ranges::equal(
      row, wanted, [](std::int64_t one, std::int64_t dim) { return dim < 0 || one == dim; });
  const bool flat =
      free == 0 && row.size() <= 1 && static_cast<std::int64_t>(file.row_width()) == fixed;
  if (spec.dtype != DType::kString && (same || flat)) return {};
  return invalid("wrong_columns", file.name() + " has the shape " + show_shape(file.shape()) +
                                      ", and the model takes " + std::string(name_of(spec.dtype)) +
                                      " " + show_shape(spec.dims) +
                                      "; the first dimension is the rows'");
}

Result<std::optional<NpyFile>> open_labels(const DatasetOptions& options, const NpyFile& of) {
  if (!options.label_given) return std::nullopt;
  if (!options.label.ends_with(".npy")) {
    return invalid("unknown_column", of.name() +
                                         " has no columns, and --label names one; name "
                                         "another .npy file with a label for each row");
  }
  SLUICE_TRY(auto out, NpyFile::open(options.label));
  if (out.row_width() != 1 || out.rows() != of.rows()) {
    return invalid("wrong_columns", out.name() + " has the shape " + show_shape(out.shape()) +
                                        "; expected a label for each of " +
                                        std::to_string(of.rows()) + " rows");
  }
  return out;
}

Result<void> read_rows(NpyFile& file, std::optional<NpyFile>& labels, std::size_t most,
                       RowBuilder& builder) {
  const std::size_t width = file.row_width();
  const auto row_shape = file.shape().subspan(1);
  for (std::size_t first = 0; first < file.rows() && builder.rows() < most;) {
    const std::size_t last = std::min(file.rows(), first + file.rows_at_once());
    SLUICE_TRY(const auto values, file.read(first, last));
    TensorView truths;
    if (labels) {
      SLUICE_TRY(truths, labels->read(first, last));
    }
    for (std::size_t row = 0; row < last - first && builder.rows() < most; ++row) {
      builder.begin();
      builder.shape(0, row_shape);
      bool good = true;
      for (std::size_t i = 0; i < width && good; ++i) good = add(builder, values, row * width + i);
      good = good && builder.end(labels ? label_of(truths, row) : std::string());
      if (!good) builder.leave_out();
    }
    first = last;
  }
  return {};
}

}  // namespace

Result<Dataset> read_npy(const Signature& signature, const DatasetOptions& options) {
  SLUICE_TRY(auto file, NpyFile::open(options.file));
  SLUICE_CHECK(check_shape(signature, file));
  SLUICE_TRY(auto labels, open_labels(options, file));
  RowBuilder builder(signature, options.batch);
  SLUICE_CHECK(read_rows(file, labels, options.most_rows, builder));
  SLUICE_TRY(auto out, builder.finish(file.name()));
  if (file.rows() > options.most_rows && out.rows() == options.most_rows) {
    out.note("of " + std::to_string(file.rows()) + " rows of " + file.name() + " the first " +
             std::to_string(out.rows()) + " were used");
  }
  return out;
}

}  // namespace sluice::tools::compress
