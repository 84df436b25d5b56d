#include "engines/step.h"

#include "base/half.h"
#include "base/text.h"

namespace sluice::engines {
namespace {

constexpr std::size_t kMaxElements = std::size_t{1} << 25;

std::string the_file(const std::string& name) { return "the file '" + printable(name) + "'"; }

}  // namespace

Result<Fd> find_step_file(const std::shared_ptr<const Fd>& directory, const std::string& name) {
  // Refused before it is repeated: what is said here may be read by whoever may ask for answers.
  if (name.starts_with('/')) {
    return invalid("bad_model",
                   "its file has an absolute path; steps use files of the version's own directory: "
                   "put it there, and write its name from there");
  }
  const std::string what = the_file(name);
  if (!directory) {
    return invalid("bad_model", what + " cannot be opened: the pipeline has no directory");
  }
  auto fd = open_beneath(*directory, name);
  if (fd || fd.error().code == Code::kUnavailable) return fd;
  const auto& said = fd.error().message;  // "the file cannot be opened: …"
  const auto why = fd.error().code == Code::kNotFound ? "there is none of this name"
                                                      : said.substr(said.find(": ") + 2);
  return invalid("bad_model",
                 what + " cannot be opened: " + why +
                     "; steps use files that lie in the version's own directory or below it");
}

Result<FileBytes> open_step_file(const std::shared_ptr<const Fd>& directory,
                                 const std::string& name, std::size_t limit) {
  const std::string what = the_file(name);
  SLUICE_TRY(const auto fd, find_step_file(directory, name));
  SLUICE_TRY(auto bytes, FileBytes::copy(fd, what));
  if (bytes.bytes().size() > limit) {
    return invalid("bad_model", what + " has " + human_bytes(bytes.bytes().size()) + "; at most " +
                                    human_bytes(limit) + " are read for this");
  }
  return bytes;
}

std::string_view text_of(const FileBytes& bytes) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  auto text = bytes.text();
  if (text.starts_with(kMark)) text.remove_prefix(kMark.size());
  return text;
}

Result<std::size_t> output_elements(const Shape& shape) {
  const auto count = element_count(shape.dims());
  if (count && *count <= kMaxElements) return *count;
  return invalid("too_large", "its output of shape " + show_shape(shape.dims()) +
                                  " is too large: at most 2^25 values; send fewer rows at once");
}

AxisSplit split_at(const Shape& shape, std::size_t axis) {
  AxisSplit out;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    auto& part = i < axis ? out.outer : i == axis ? out.length : out.inner;
    part *= static_cast<std::size_t>(shape[i]);
  }
  return out;
}

Result<std::size_t> axis_of(std::int64_t axis, std::size_t rank) {
  const auto size = static_cast<std::int64_t>(rank);
  const auto place = axis < 0 ? axis + size : axis;
  if (place >= 1 && place < size) return static_cast<std::size_t>(place);
  const std::string problem = place == 0 ? " is that of the rows, which stay apart" : " is none";
  return invalid("bad_model", "axis " + std::to_string(axis) + problem + "; its input has " +
                                  std::to_string(rank) + " dimension" + (rank == 1 ? "" : "s") +
                                  (rank < 2 ? " and needs two"
                                            : "; write 1 to " + std::to_string(rank - 1) +
                                                  ", or -1 for the last"));
}

double in_type(DType dtype, double value) {
  const auto narrow = static_cast<float>(value);
  switch (dtype) {
    case DType::kFloat16: return half_to_float(float_to_half(narrow));
    case DType::kBFloat16: return bf16_to_float(float_to_bf16(narrow));
    case DType::kFloat32: return narrow;
    default: return value;
  }
}

std::string which_row(const Shape& shape, std::size_t row) {
  if (shape.rank() == 0 || shape[0] < 2) return {};
  return "row " + std::to_string(row) + ": ";
}

}  // namespace sluice::engines
