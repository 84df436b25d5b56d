// Statistics to JSON and back, bit by bit: doubles are written as the shortest text that reads back
// to the same value. What is missing or of another shape leaves the target as it is.
//
// Thread-safety: functions without state.
#pragma once

#include <nlohmann/json.hpp>

#include "statistics/burstiness.h"
#include "statistics/e_process.h"
#include "statistics/latency_sketch.h"
#include "statistics/off_policy.h"
#include "statistics/posterior.h"
#include "statistics/sample_ratio.h"

namespace sluice::release {

using json = nlohmann::ordered_json;

json to_json(const statistics::EProcess& process);
void from_json_state(const json& from, statistics::EProcess& to);
json to_json(const statistics::Burstiness& bursts);
void from_json_state(const json& from, statistics::Burstiness& to);
json to_json(const statistics::LatencySketch& sketch);
void from_json_state(const json& from, statistics::LatencySketch& to);
json to_json(const statistics::SampleRatio& ratio);
void from_json_state(const json& from, statistics::SampleRatio& to);
json to_json(const statistics::RewardSums& sums);
void from_json_state(const json& from, statistics::RewardSums& to);
json to_json(const statistics::OffPolicySums& sums);
void from_json_state(const json& from, statistics::OffPolicySums& to);

// On one line; bytes that are not UTF-8 are replaced.
std::string text_of(const json& value);

// What such a text says; of one that is no JSON, nothing: it is no object, list or number then.
json parsed(const std::string& text);

// The same for all texts that say the same: keys in order.
std::string canonical_text(const json& value);

// `from[key]`, or `otherwise` where it is not there or of another type.
double number_in(const json& from, const char* key, double otherwise);
std::uint64_t count_in(const json& from, const char* key, std::uint64_t otherwise = 0);
bool flag_in(const json& from, const char* key, bool otherwise = false);
std::string text_in(const json& from, const char* key, const std::string& otherwise = {});
const json& part_of(const json& from, const char* key);  // null where it is not there

}  // namespace sluice::release
