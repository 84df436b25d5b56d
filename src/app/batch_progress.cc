#include "app/batch_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/json_writer.h"
#include "base/text.h"

namespace sluice::app {
namespace {

constexpr double kLineEvery = 5;  // seconds
constexpr int kBarWidth = 30;

std::string time_of(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

struct State {
  std::uint64_t rows, done, bad;
  double rate = 0;  // rows a second, of this run's own
  double left = 0;  // seconds; below 0: unknown
};

State state_of(const tools::batch::Counts& counts, double seconds) {
  State out{counts.rows, counts.rows_done, counts.bad};
  const auto own = out.done - std::min<std::uint64_t>(out.done, counts.rows_found);
  out.rate = seconds > 0 ? static_cast<double>(own) / seconds : 0;
  const auto missing = static_cast<double>(out.rows - std::min(out.rows, out.done));
  out.left = out.rate > 0 ? missing / out.rate : -1;
  return out;
}

std::string words_of(const State& state) {
  std::string out = fmt::format("{} of {} rows, {:.0f} rows/s", state.done, state.rows, state.rate);
  if (state.left >= 0) out += ", " + time_of(state.left) + " left";
  return out + fmt::format(", {} bad", state.bad);
}

using tools::batch::Transfer;

// Of the whole, and what to say of it.
struct Line {
  double share = 0;
  std::string words;
};

Line line_of(const tools::batch::Counts& counts, const Transfer& transfer, double seconds) {
  const auto phase = transfer.phase.load();
  if (phase != Transfer::Phase::kNone) {
    const std::uint64_t all = transfer.bytes;
    const std::uint64_t done = std::min<std::uint64_t>(all, transfer.bytes_done);
    const std::string what = phase == Transfer::Phase::kDownload ? "downloading" : "uploading";
    if (all == 0) return {0, what};
    return {static_cast<double>(done) / static_cast<double>(all),
            what + ", " + human_bytes(done) + " of " + human_bytes(all)};
  }
  const State state = state_of(counts, seconds);
  const double share =
      state.rows > 0 ? static_cast<double>(state.done) / static_cast<double>(state.rows) : 0;
  return {share, counts.joining      ? "joining the parts"
                 : counts.parts == 0 ? "reading the input"
                                     : words_of(state)};
}

std::string_view phase_of(const tools::batch::Counts& counts, const Transfer& transfer) {
  switch (transfer.phase.load()) {
    case Transfer::Phase::kDownload: return "downloading";
    case Transfer::Phase::kUpload: return "uploading";
    case Transfer::Phase::kNone: break;
  }
  return counts.joining ? "joining" : counts.parts == 0 ? "reading" : "predicting";
}

}  // namespace

BatchProgress::BatchProgress(const tools::batch::Counts& counts, const Transfer& transfer,
                             bool json)
    : counts_(counts),
      transfer_(transfer),
      json_(json),
      terminal_(!json && ::isatty(STDERR_FILENO) == 1),
      began_(std::chrono::steady_clock::now()) {
  if (!terminal_) next_ = kLineEvery;
}

double BatchProgress::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
}

void BatchProgress::show() {
  const double now = seconds();
  if (transfer_.phase == Transfer::Phase::kDownload) work_began_ = now;
  if (terminal_) return show_bar(now - work_began_);
  if (now < next_) return;
  next_ = now + kLineEvery;
  json_ ? show_json(now - work_began_) : show_line(now - work_began_);
}

void BatchProgress::show_bar(double seconds) {
  const Line line = line_of(counts_, transfer_, seconds);
  const int full = static_cast<int>(line.share * kBarWidth);
  std::string bar(static_cast<std::size_t>(full), '#');
  bar.resize(kBarWidth, '.');
  std::fprintf(stderr, "\r[%s] %3.0f%%  %s\x1b[K", bar.c_str(), 100 * line.share,
               line.words.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void BatchProgress::show_line(double seconds) const {
  std::fprintf(stderr, "sluice: %s\n", line_of(counts_, transfer_, seconds).words.c_str());
}

void BatchProgress::show_json(double seconds) const {
  const State state = state_of(counts_, seconds);
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("event", "progress").field("phase", phase_of(counts_, transfer_));
  json.field("rows", state.rows);
  json.field("done", state.done).field("bad", state.bad).field("rows_per_second", state.rate);
  json.key("seconds_left");
  state.left >= 0 ? json.value(state.left) : json.null();
  if (transfer_.phase != Transfer::Phase::kNone) {
    json.field("bytes", transfer_.bytes.load()).field("bytes_done", transfer_.bytes_done.load());
  }
  json.field("joining", counts_.joining.load()).end_object();
  std::printf("%s\n", out.c_str());
  std::fflush(stdout);
}

void BatchProgress::end() {
  if (drawn_) std::fprintf(stderr, "\r\x1b[K");
  drawn_ = false;
}

namespace {

void print_json(const tools::batch::Summary& summary, double seconds,
                const std::string& what_next) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("event", "summary").field("rows", summary.rows);
  json.field("found_done", summary.found).field("written", summary.written);
  json.field("bad", summary.bad).field("not_finite", summary.not_finite);
  json.field("parts", summary.parts).field("seconds", seconds);
  json.field("finished", summary.joined).field("stopped", summary.stopped);
  json.field("output_bytes", summary.bytes).field("columns_in_order", summary.in_order);
  json.field("old_columns_copied", summary.pasted);
  json.field("downloaded_bytes", summary.downloaded).field("uploaded_bytes", summary.uploaded);
  json.key("first_bad_rows").begin_array();
  for (const auto& line : summary.first_bad) json.raw(line);
  json.end_array();
  if (!summary.bad_rows.empty()) {
    json.field("bad_rows_file", std::string_view(summary.bad_rows));
  }
  if (!what_next.empty()) json.field("next", std::string_view(what_next));
  json.end_object();
  std::printf("%s\n", out.c_str());
}

void print_bad(const tools::batch::Summary& summary) {
  if (summary.bad == 0) return;
  std::printf("%-12s %llu rows%s%s\n", "bad", static_cast<unsigned long long>(summary.bad),
              summary.bad_rows.empty() ? "" : "; all of them are listed in ",
              summary.bad_rows.c_str());
  for (const auto& line : summary.first_bad) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    if (!row.is_object()) continue;
    std::printf("  row %s: %s\n", row.value("row", nlohmann::json()).dump().c_str(),
                printable(row.value("reason", std::string()), 200).c_str());
  }
}

}  // namespace

void print_summary(const tools::batch::Summary& summary, double seconds, bool json,
                   const std::string& what_next) {
  if (json) return print_json(summary, seconds, what_next);
  const auto own = summary.rows - std::min(summary.rows, summary.found);
  std::printf("%-12s %llu, %llu written\n", "rows", static_cast<unsigned long long>(summary.rows),
              static_cast<unsigned long long>(summary.written));
  if (summary.found > 0) {
    std::printf("%-12s %llu rows of an earlier run\n", "kept",
                static_cast<unsigned long long>(summary.found));
  }
  if (summary.spoilt > 0) {
    std::printf("%-12s %zu of an earlier run's parts: one was damaged%s\n", "made again",
                summary.spoilt, summary.spoilt > 1 ? ", and those behind it go with it" : "");
  }
  std::printf("%-12s %s%s\n", "took", time_of(seconds).c_str(),
              seconds > 0 && own > 0
                  ? fmt::format(", {:.0f} rows/s", static_cast<double>(own) / seconds).c_str()
                  : "");
  if (summary.joined) std::printf("%-12s %s\n", "output", human_bytes(summary.bytes).c_str());
  if (summary.downloaded > 0 || summary.uploaded > 0) {
    std::printf("%-12s %s read, %s written\n", "stores", human_bytes(summary.downloaded).c_str(),
                human_bytes(summary.uploaded).c_str());
  }
  if (summary.in_order) {
    std::printf("%-12s the model names no columns: the input's were taken in their order\n",
                "note");
  }
  if (summary.not_finite > 0) {
    std::printf(
        "%-12s %llu rows have an answer that is not a finite number; a missing value is NaN "
        "for the model\n",
        "note", static_cast<unsigned long long>(summary.not_finite));
  }
  print_bad(summary);
  if (!what_next.empty()) std::printf("%s\n", what_next.c_str());
}

}  // namespace sluice::app
