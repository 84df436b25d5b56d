#include "tools/batch/broken_lines.h"

#include <span>
#include <utility>

#include "base/text.h"
#include "tools/batch/file_bytes.h"
#include "tools/batch/line_splitter.h"
#include "tools/batch/memory_files.h"

namespace sluice::tools::batch {
namespace {

using clients::SqlSubject;
using clients::TableFormat;

// Of so many lines the half may be broken. A table with more is none.
constexpr std::size_t kMany = 100;

// As the engine counts them: a quote begins a field in quotes only at the front of one.
std::size_t fields_of(std::string_view line) {
  std::size_t out = 1;
  bool quoted = false;
  bool front = true;
  bool closed = false;  // by the character before: another quote makes the two a quote within
  for (const char c : line) {
    const bool after_quote = std::exchange(closed, false);
    if (c == '"' && (quoted || front || after_quote)) {
      closed = quoted;
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      ++out;
      front = true;
      continue;
    }
    front = front && c == ' ';
  }
  return out;
}

class Sorter {
 public:
  Sorter(clients::DuckdbSession& session, const SqlSubject& subject,
         const std::function<std::string(const Fd&)>& read)
      : session_(session), subject_(subject), read_(read) {}

  Result<SortedLines> sort(const Fd& part) {
    const auto name = clients::shown_name(subject_.file);
    SLUICE_TRY(const auto size, size_of_file(part, name));
    SLUICE_TRY(text_, read_at(part, 0, size, name));
    SLUICE_CHECK(find_lines(part, name));
    SLUICE_CHECK(halve(0, lines_.size(), false));
    SortedLines out;
    SLUICE_TRY(out.bytes, file_of(good_));
    out.broken = std::move(broken_);
    return out;
  }

 private:
  Result<void> find_lines(const Fd& part, const std::string& name) {
    const bool csv = subject_.format == TableFormat::kCsv;
    LineSplitter splitter(part, name, csv ? LineKind::kCsv : LineKind::kJsonLines, 1);
    SLUICE_TRY(const auto header, splitter.header());
    if (header) header_ = text_of(*header);
    while (true) {
      SLUICE_TRY(const auto line, splitter.next());
      if (!line) return {};
      lines_.push_back(text_of(*line));
    }
  }

  std::string_view text_of(const LinePart& part) const {
    return std::string_view(text_).substr(part.offset, part.length);
  }

  Result<Fd> file_of(std::span<const std::string_view> lines) const {
    SLUICE_TRY(auto out, memory_file("part"));
    std::string bytes(header_);
    for (const auto line : lines) bytes += line;
    ByteWriter writer(out);
    SLUICE_CHECK(writer.write(bytes));
    return out;
  }

  Result<bool> can_be_read(std::size_t first, std::size_t count) {
    SLUICE_TRY(const auto file, file_of(std::span(lines_).subspan(first, count)));
    // Every value is looked at.
    const auto found =
        session_.texts("SELECT CAST(count(*) AS VARCHAR), CAST(max(hash(t)) AS VARCHAR) FROM (" +
                           read_(file) + ") t",
                       2, subject_);
    if (found) return found->at(0)[0] == std::to_string(count);
    if (found.error().code == Code::kInvalidArgument) return false;
    return Failure(found.error());
  }

  Result<void> halve(std::size_t first, std::size_t count, bool known_bad) {
    if (count == 0) return {};
    SLUICE_TRY(const bool good, known_bad ? Result<bool>(false) : can_be_read(first, count));
    if (good) {
      good_.insert(good_.end(), lines_.begin() + static_cast<std::ptrdiff_t>(first),
                   lines_.begin() + static_cast<std::ptrdiff_t>(first + count));
      return {};
    }
    if (count == 1) {
      broken_.push_back({first, reason_of(lines_[first])});
      const bool most = broken_.size() > kMany && broken_.size() > (first + 1) / 2;
      if (!most) return {};
      return invalid("bad_table", clients::shown_name(subject_.file) +
                                      ": more lines are broken than are not; is it what its "
                                      "ending says?");
    }
    const std::size_t half = count / 2;
    const std::size_t before = broken_.size();
    SLUICE_CHECK(halve(first, half, false));
    // Where the first half is good it is the second, of more than one line, that is not.
    const bool other = broken_.size() == before && count - half > 1;
    return halve(first + half, count - half, other);
  }

  std::string reason_of(std::string_view line) const {
    if (!is_utf8(line)) return "the line is not text in UTF-8";
    if (subject_.format != TableFormat::kCsv) return "the line is not an object in JSON";
    const auto found = fields_of(line);
    const auto expected = fields_of(header_);
    if (found == expected) return "the line cannot be read as CSV";
    return "the line has " + std::to_string(found) + " fields, expected " +
           std::to_string(expected);
  }

  clients::DuckdbSession& session_;
  const SqlSubject& subject_;
  const std::function<std::string(const Fd&)>& read_;
  std::string text_;
  std::string_view header_;
  std::vector<std::string_view> lines_;
  std::vector<std::string_view> good_;
  std::vector<BrokenLine> broken_;
};

}  // namespace

Result<SortedLines> sort_out(clients::DuckdbSession& session, const Fd& part,
                             const SqlSubject& subject,
                             const std::function<std::string(const Fd&)>& read) {
  return Sorter(session, subject, read).sort(part);
}

Failure bad_row(const std::string& row, const std::string& reason) {
  return invalid("bad_row", row + ": " + reason +
                                "; correct it, or go on without such rows with --on-error null "
                                "or --on-error skip");
}

bool of_lines(const Error& error, TableFormat format) {
  return format != TableFormat::kParquet && error.code == Code::kInvalidArgument &&
         (error.reason == "bad_table" || error.reason == "bad_sql");
}

}  // namespace sluice::tools::batch
