#include "frontends/drift_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace sluice::frontends {
namespace {

using observers::DriftOf;
using observers::DriftOfVersion;
using observers::DriftReference;

std::string rows(std::uint64_t count) {
  return fmt::format("{} row{}", count, count == 1 ? "" : "s");
}

std::string percent(double share) { return fmt::format("{:.3g} %", 100 * share); }

std::string window(const DriftOptions& options) {
  return "the last " + OptionType<Millis>::show(options.window);
}

std::string then(const DriftOf& of) {
  return of.reference == DriftReference::kTraining ? "in training" : "in its baseline";
}

// The class whose share has changed the most.
std::string class_words(const DriftOf& of, const std::vector<std::string>& names) {
  std::size_t most = 0;
  const auto change = [&](std::size_t i) {
    return std::abs(of.drift.shares[i] - of.drift.reference_shares[i]);
  };
  for (std::size_t i = 1; i < of.drift.shares.size(); ++i) {
    if (change(i) > change(most)) most = i;
  }
  const std::string name = most < names.size() ? printable(names[most]) : std::to_string(most);
  return fmt::format("'{}' is {} of them, {} it was {}", name, percent(of.drift.shares[most]),
                     then(of), percent(of.drift.reference_shares[most]));
}

// What has changed, in the terms that say most.
std::string change_words(const DriftOf& of, const DriftOfVersion& version) {
  const auto& drift = of.drift;
  if (!drift.shares.empty()) return class_words(of, version.classes);
  if (std::abs(drift.missing - drift.reference_missing) > 0.1 || !drift.median) {
    return fmt::format("{} of its values are missing, {} it was {}", percent(drift.missing),
                       then(of), percent(drift.reference_missing));
  }
  const auto old = drift.reference_median.value_or(0);
  // A spread that changed around its middle.
  if (std::abs(*drift.median - old) <= 1e-3 * std::abs(old)) {
    return fmt::format("its median is {:.6g} as {}, but its spread is another", *drift.median,
                       then(of));
  }
  return fmt::format("its median is {:.6g}, {} it was {:.6g}", *drift.median, then(of), old);
}

std::string measures(const DriftOf& of) {
  std::string out = fmt::format("PSI {:.2f}", of.drift.psi);
  if (of.drift.ks) out += fmt::format(", Kolmogorov-Smirnov distance {:.2f}", *of.drift.ks);
  return out + ", " + rows(of.drift.rows);
}

const DriftOf* worst_of(const DriftOfVersion& version) {
  const DriftOf* out = nullptr;
  for (const auto& each : version.features) {
    if (each.drifted && (out == nullptr || each.drift.psi > out->drift.psi)) out = &each;
  }
  return out;
}

std::string drifted_words(const DriftOfVersion& version) {
  const auto count = std::ranges::count_if(version.features, &DriftOf::drifted);
  const bool answers = version.prediction && version.prediction->drifted;
  std::string out;
  if (const DriftOf* worst = worst_of(version)) {
    out =
        fmt::format("{} of {} features of version {} {} drifted, most of all '{}': {} (PSI {:.2f})",
                    count, version.features.size(), version.version, count == 1 ? "has" : "have",
                    printable(worst->name), change_words(*worst, version), worst->drift.psi);
    if (answers) out += "; its predictions have drifted too";
  } else {
    out = "predictions of version " + version.version + " have drifted";
  }
  if (answers) {
    out += fmt::format(": {} (PSI {:.2f})", change_words(*version.prediction, version),
                       version.prediction->drift.psi);
  }
  return out;
}

// While nothing can be said: why.
std::string unknown_words(const std::vector<DriftOfVersion>& versions,
                          const DriftOptions& options) {
  if (!options.enabled) return "Drift is switched off: drift.enabled in model.yaml is false.";
  if (versions.empty()) return "Nothing has been predicted yet, so nothing is known of drift.";
  const DriftOfVersion& most = *std::ranges::max_element(
      versions, {}, [](const auto& each) { return std::pair(each.rows, each.baseline_rows); });
  if (most.rows == 0 && most.baseline_rows > 0) {
    return fmt::format(
        "There are no training statistics in model.yaml, so the first {} rows become the "
        "reference; "
        "version {} has {} of them.",
        observers::DriftWatch::kBaselineRows, most.version, most.baseline_rows);
  }
  if (most.features.empty() && !most.prediction) {
    return "This model has no input that is watched for drift: columns of a table of numbers or "
           "single numbers.";
  }
  return fmt::format("Version {} has {} in {}; {} are needed before drift is judged.", most.version,
                     rows(most.rows), window(options), options.min_rows);
}

std::string none_words(const std::vector<DriftOfVersion>& versions, const DriftOptions& options) {
  double psi = 0;
  std::uint64_t seen = 0;
  const auto look = [&](const DriftOf& of) {
    if (of.judged) psi = std::max(psi, of.drift.psi);
  };
  for (const auto& version : versions) {
    std::ranges::for_each(version.features, look);
    if (version.prediction) look(*version.prediction);
    if (version.judged()) seen += version.rows;
  }
  return fmt::format("No drift over {}: the greatest PSI of {} is {:.2f}.", window(options),
                     rows(seen), psi);
}

}  // namespace

std::string sentence(const DriftOf& of, const DriftOfVersion& version,
                     const DriftOptions& options) {
  const bool answers = version.prediction && &of == &*version.prediction;
  const std::string name = answers ? "The prediction" : "'" + printable(of.name) + "'";
  if (of.reference == DriftReference::kNone) {
    return name + " has no reference yet, so nothing can be said of its drift.";
  }
  if (!of.judged) {
    return fmt::format("{} has {} in {}; {} are needed before drift is judged.", name,
                       rows(of.drift.rows), window(options), options.min_rows);
  }
  if (of.drifted) {
    return fmt::format("{} has drifted: {} ({}).", name, change_words(of, version), measures(of));
  }
  return fmt::format("{} looks as it did {} ({}).", name, then(of), measures(of));
}

std::string_view status_of(const std::vector<DriftOfVersion>& versions) {
  const auto any = [&](auto which) { return std::ranges::any_of(versions, which); };
  if (any([](const auto& each) { return each.drifted() > 0; })) return "drifted";
  return any([](const auto& each) { return each.judged(); }) ? "none" : "unknown";
}

std::string summary(const std::vector<DriftOfVersion>& versions, const DriftOptions& options) {
  const auto status = status_of(versions);
  if (status == "unknown") return unknown_words(versions, options);
  if (status == "none") return none_words(versions, options);
  std::string out;
  for (const auto& version : versions) {
    if (version.drifted() == 0) continue;
    out += (out.empty() ? "" : "; ") + drifted_words(version);
  }
  out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out + ", over " + window(options) + ".";
}

}  // namespace sluice::frontends
