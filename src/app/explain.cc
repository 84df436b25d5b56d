// sluice explain

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "app/commands.h"
#include "app/explain_plot.h"
#include "app/rows_file.h"
#include "app/stack.h"
#include "base/log.h"
#include "base/text.h"
#include "codecs/simple_json.h"
#include "core/explain_config.h"
#include "serving/explain_rows.h"

namespace sluice::app {
namespace {

using nlohmann::json;

constexpr std::size_t kShown = 10;  // attributions of a row on the terminal

struct Arguments {
  LoadFlags load_flags;
  std::string model;
  std::string version;
  std::string input;
  std::string background;
  std::string plot;
  std::size_t rows = 100;
  bool json = false;
};

// Explains rows on a model that is loaded here.
class Session {
 public:
  static Result<Session> open(const Arguments& arguments) {
    Session out;
    SLUICE_TRY(out.stack_, Stack::open(arguments.model, arguments.load_flags));
    SLUICE_CHECK(out.stack_->load());
    out.version_ = arguments.version;
    SLUICE_TRY(auto request, out.request());
    out.servable_ = request->servable;
    if (arguments.background.empty()) return out;
    const std::string what = "the background file";
    SLUICE_TRY(auto file, read_rows(arguments.background, ExplainOptions::kMostRows, what));
    SLUICE_CHECK(arrange(file, out.signature(), what));
    SLUICE_TRY(out.background_, numbers_of(file, out.signature(), what));
    return out;
  }

  const Signature& signature() const { return servable_->signature(); }
  std::string name() const { return servable_->model().str() + " " + servable_->version().str(); }

  // The answer to these rows, which are at most kMostExplained.
  Result<json> explain(std::span<const json> rows) {
    std::string body = json{{"features", rows}, {"explain", true}}.dump();
    body.reserve(body.size() + codecs::json_padding());
    SLUICE_TRY(auto request, this->request());
    request->request_id = "local";
    SLUICE_CHECK(codecs::decode_simple_json(body, signature(), false, *request));
    request->background = background_;
    std::optional<Error> error;
    std::string answer;
    request->on_done = [&](Request* done) {
      error = done->reply.error;
      if (!error) codecs::encode_simple_json(*done, "", "", answer);
    };
    stack_->pipeline().submit(std::move(request));
    if (error) return Failure(*error);
    return json::parse(answer);
  }

 private:
  Result<RequestPtr> request() const {
    SLUICE_TRY(auto out, stack_->request_to_only_model(version_));
    out->wants_prediction = true;
    return out;
  }

  std::unique_ptr<Stack> stack_;
  std::string version_;
  std::shared_ptr<const Servable> servable_;
  std::vector<double> background_;
};

// One object for each row, as the lines of --json have them.
Result<std::vector<json>> explain_all(Session& session, std::span<const json> rows) {
  std::vector<json> out;
  std::set<std::string> warned;
  while (!rows.empty()) {
    const auto part = rows.first(std::min(rows.size(), serving::kMostExplained));
    rows = rows.subspan(part.size());
    SLUICE_TRY(auto answer, session.explain(part));
    for (const auto& warning : answer.value("warnings", json::array())) {
      const auto text = warning.get<std::string>();
      if (warned.insert(text).second) std::fprintf(stderr, "sluice: warning: %s\n", text.c_str());
    }
    for (std::size_t i = 0; i < part.size(); ++i) {
      json row = {{"row", out.size()}};
      for (const char* key : {"prediction", "label", "confidence", "explanation"}) {
        if (answer.contains(key)) row[key] = answer[key][i];
      }
      out.push_back(std::move(row));
    }
  }
  return out;
}

double number_of(const json& value) { return value.is_number() ? value.get<double>() : 0; }

// A class is a whole number.
std::string show(const json& value) {
  return value.is_number() ? fmt::format("{:.6g}", value.get<double>()) : value.dump();
}

Explained read_row(const json& row) {
  const auto& explanation = row["explanation"];
  Explained out;
  out.title = "row " + row["row"].dump() + ": prediction " + show(row["prediction"]);
  if (row.contains("label")) out.title += " (" + row["label"].get<std::string>() + ")";
  out.output = explanation["output"].get<std::string>();
  if (explanation.contains("class")) out.output += " of class " + explanation["class"].dump();
  out.base_value = number_of(explanation["base_value"]);
  for (const auto& each : explanation["attributions"]) {
    out.features.push_back({each["feature"].get<std::string>(),
                            each["value"].is_null() ? "missing" : show(each["value"]),
                            number_of(each["attribution"])});
  }
  return out;
}

std::string bar_of(double size, double most) {
  const auto length = most > 0 ? static_cast<int>(20 * std::abs(size) / most + 0.5) : 0;
  std::string out;
  for (int i = 0; i < length; ++i) out += size < 0 ? "-" : "+";
  return out;
}

void print_row(const Explained& row) {
  std::printf("%s\n%s %.6g = base value %.6g and\n", row.title.c_str(), row.output.c_str(),
              row.answer(), row.base_value);
  const auto order = row.by_size();
  std::size_t width = 7;
  for (const auto i : order) width = std::max(width, printable(row.features[i].name, 40).size());
  const double most = order.empty() ? 0 : std::abs(row.features[order[0]].attribution);
  for (std::size_t n = 0; n < std::min(order.size(), kShown); ++n) {
    const auto& feature = row.features[order[n]];
    std::printf("  %-*s %12s  %+12.6g  %s\n", static_cast<int>(width),
                printable(feature.name, 40).c_str(), feature.value.c_str(), feature.attribution,
                bar_of(feature.attribution, most).c_str());
  }
  if (order.size() > kShown) std::printf("  and %zu smaller ones\n", order.size() - kShown);
  std::printf("\n");
}

void print_means(const std::vector<Explained>& rows) {
  if (rows.size() < 2) return;
  std::printf("mean size of the attributions of %zu rows\n", rows.size());
  const auto means = mean_sizes(rows);
  for (std::size_t i = 0; i < std::min(means.size(), kShown); ++i) {
    std::printf("  %-40s %12.6g\n", printable(means[i].name, 40).c_str(), means[i].attribution);
  }
}

Result<void> write_plot(const std::string& path, const std::string& heading,
                        const std::vector<Explained>& rows) {
  std::ofstream file(path, std::ios::binary);
  file << (path.ends_with(".svg") ? explain_svg(heading, rows) : explain_html(heading, rows));
  file.close();
  if (file) return {};
  return fail(Code::kNotFound, "not_written",
              "the plot could not be written; name a file in a folder that exists");
}

Result<void> explain_file(const Arguments& arguments) {
  const std::string what = "the input file";
  SLUICE_TRY(auto file, read_rows(arguments.input, arguments.rows, what));
  SLUICE_TRY(auto session, Session::open(arguments));
  SLUICE_CHECK(arrange(file, session.signature(), what));
  SLUICE_TRY(const auto answers, explain_all(session, file.rows));
  std::vector<Explained> rows;
  for (const auto& answer : answers) {
    if (!answer.contains("explanation")) {
      return internal("a row was answered without an explanation");
    }
    rows.push_back(read_row(answer));
    if (arguments.json) {
      std::printf("%s\n", answer.dump().c_str());
    } else {
      print_row(rows.back());
    }
  }
  if (!arguments.json) print_means(rows);
  if (arguments.plot.empty()) return {};
  return write_plot(arguments.plot, "Why " + session.name() + " answers so", rows);
}

int explain(const Arguments& arguments) {
  log::set_level(log::Level::kOff);
  const bool known = arguments.plot.empty() || arguments.plot.ends_with(".html") ||
                     arguments.plot.ends_with(".svg");
  if (!known) return complain(kUsage, "--plot takes a file that ends with .html or .svg");
  auto done = explain_file(arguments);
  return done ? kSuccess : complain(done.error());
}

}  // namespace

Action add_explain(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("model", arguments->model, "model file or directory")->required();
  app.add_option("--input", arguments->input, "rows to explain: .json, .jsonl, .csv or .parquet")
      ->required();
  app.add_option("--rows", arguments->rows, "explain so many of them, the first")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--background", arguments->background,
                 "ordinary rows to compare with, in the same forms; else those of model.yaml");
  app.add_option("--version", arguments->version, "version of the model");
  app.add_flag("--json", arguments->json, "print one JSON object a row");
  app.add_option("--plot", arguments->plot, "draw them into this .html or .svg file");
  add_load_flags(app, arguments->load_flags);
  return [arguments] { return explain(*arguments); };
}

}  // namespace sluice::app
