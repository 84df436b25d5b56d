// What tests/e2e/lib/feast_encoder.py says of Feast's formats, case by case.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"

namespace sluice::features {

// The cases that have this member.
inline std::vector<nlohmann::json> feast_golden(const char* member) {
  std::ifstream in(SLUICE_SOURCE_DIR "/tests/features/feast_golden.jsonl");
  std::vector<nlohmann::json> out;
  for (std::string line; std::getline(in, line);) {
    auto one = nlohmann::json::parse(line);
    if (one.contains(member)) out.push_back(std::move(one));
  }
  return out;
}

inline std::string unhex(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return out;
}

}  // namespace sluice::features
