// What compressing a model came to: for people in a terminal, for programs, and for a browser.
//
// Thread-safety: plain values and functions without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tools/compress/comparison.h"
#include "tools/compress/timing.h"

namespace sluice::tools::compress {

// Of the original or of what was made of it.
struct Weighed {
  std::uint64_t file_bytes = 0;        // of all its files
  std::uint64_t memory_bytes = 0;      // that a process takes more when it is loaded and has run
  std::optional<double> monthly_cost;  // where model.yaml has `cost:`
};

struct Report {
  std::string model;         // "fraud/v1"
  std::string sha256;        // of its file
  std::string method;        // as parse_chain takes it
  std::string created;       // UTC
  std::string rows_from;     // the evaluation file's name
  bool synthesised = false;  // there was none: rows were made up
  Weighed before;
  Weighed after;
  Comparison comparison;
  TimingPair timing;
  double max_drop = 0;
  double seconds = 0;              // that compressing took, without evaluating
  std::vector<std::string> notes;  // sentences
  nlohmann::json details;          // Made::details

  bool kept() const { return comparison.drop <= max_drop && comparison.lost == 0; }
};

// Whether it is kept, and why, in a sentence without a full stop.
std::string verdict(const Report& report);
nlohmann::json report_json(const Report& report);
// In one line, or indented by so many blanks. Names come from models and tables: what in them is no
// UTF-8 is written as U+FFFD.
std::string json_text(const nlohmann::json& json, int indent = -1);
std::string report_text(const Report& report);
// One HTML file with everything in it: no scripts, nothing from elsewhere.
std::string report_page(const Report& report);

}  // namespace sluice::tools::compress
