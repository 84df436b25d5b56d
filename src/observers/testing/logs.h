// For tests of the prediction log: a directory that is gone afterwards, a model, and records.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "observers/prediction_log.h"

namespace sluice::observers {

// Longer than anything here takes, on any machine.
inline constexpr std::chrono::seconds kLong{20};

class Logs : public testing::Test {
 protected:
  Logs() {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
  }
  ~Logs() override { std::filesystem::remove_all(root_); }

  std::filesystem::path put(const std::string& name, std::string_view bytes) const {
    std::ofstream(root_ / name, std::ios::binary) << bytes;
    return root_ / name;
  }
  static std::string bytes_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::vector<std::string> lines_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  // Names, in order.
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(root_)) {
      out.push_back(entry.path().filename().string());
    }
    std::ranges::sort(out);
    return out;
  }
  PredictionLogOptions options(const std::string& name) const {
    PredictionLogOptions out;
    out.where = (root_ / name).string();
    return out;
  }
  static OpenLog open(const PredictionLogOptions& options) {
    auto out = open_log(options);
    if (!out) throw std::runtime_error(out.error().message);
    return *std::move(out);
  }

  const std::filesystem::path root_ =
      std::filesystem::temp_directory_path() / ("sluice-log-test-" + std::to_string(::getpid()));
};

inline LogBatch lines(std::string text) {
  LogBatch out;
  out.lines = static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
  out.text = std::move(text);
  return out;
}

template <class Condition>
bool becomes(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + kLong;
  while (std::chrono::steady_clock::now() < until) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

// One model `m` whose log may show so much.
inline std::shared_ptr<const ServingTable> table_with(const LogOptions& privacy) {
  auto entry = std::make_shared<ModelEntry>(
      ModelEntry{*ModelName::parse("m"), {}, {}, {}, {}, nullptr, false});
  entry->config.log = privacy;
  auto table = std::make_shared<ServingTable>();
  table->models.emplace("m", std::move(entry));
  return table;
}

// A row of floats and its answer; what views need, it has.
struct Sample {
  std::vector<float> features{5.5f, 0.1f};
  std::vector<double> values{1};
  std::vector<double> confidences{0.75};
  Record record;

  Sample() {
    record.head.at_ns = 1'700'000'000'123'456'789;
    record.head.total_ms = 1.2345678;
    record.head.rows = 1;
    record.head.wanted = kForLog;
    record.model = "m";
    record.version = "v1";
    record.request_id = "r1";
    record.user_id = "u1";
  }
  Sample(const Sample&) = delete;
  Sample& operator=(const Sample&) = delete;

  const Record& with_views() {
    const auto rows = static_cast<std::int64_t>(record.head.rows);
    const auto width = static_cast<std::int64_t>(features.size()) / rows;
    record.inputs = {{DType::kFloat32, {rows, width}, std::as_bytes(std::span(features)), {}}};
    record.values = values;
    record.confidences = confidences;
    return record;
  }
};

}  // namespace sluice::observers
