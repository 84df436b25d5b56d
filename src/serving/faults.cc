#include "serving/faults.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <limits>
#include <thread>

#include "base/random.h"
#include "base/text.h"

namespace sluice::serving {
namespace {

constexpr Millis kLongest{3'600'000};

bool by_chance(double share) { return share > 0 && thread_random().uniform() < share; }

Failure bad(std::string_view part, const std::string& why) {
  return invalid("bad_faults",
                 "'" + printable(part) + "': " + why +
                     " (the form is MODEL/VERSION: errors=0.05 delay=5s "
                     "delay_rate=0.1 nan=0.01 crash=0, with a ; before the next version)");
}

Result<void> read_share(std::string_view part, std::string_view text, double& out) {
  const auto number = parse_double(text);
  if (!number || !(*number >= 0 && *number <= 1)) return bad(part, "a share is from 0 to 1");
  out = *number;
  return {};
}

Result<void> read_delay(std::string_view part, std::string_view text, Millis& out) {
  Problems problems;
  OptionType<Millis>::read(Node::text(std::string(text)), out, problems);
  if (!problems.empty()) return bad(part, problems.front().message);
  if (out < Millis(0) || out > kLongest) return bad(part, "a delay is at most 1h");
  return {};
}

Result<void> read_setting(std::string_view part, Fault& out) {
  static constexpr std::array<std::string_view, 5> kKeys = {"errors", "delay", "delay_rate", "nan",
                                                            "crash"};
  const auto equals = part.find('=');
  if (equals == std::string_view::npos) return bad(part, "it has no '='");
  const auto key = part.substr(0, equals);
  const auto value = part.substr(equals + 1);
  if (key == "errors") return read_share(part, value, out.errors);
  if (key == "delay") return read_delay(part, value, out.delay);
  if (key == "delay_rate") return read_share(part, value, out.delay_rate);
  if (key == "nan") return read_share(part, value, out.nan);
  if (key == "crash") return read_share(part, value, out.crash);
  return bad(part, "there is no such fault" + did_you_mean(key, kKeys));
}

// A copy of an output with NaN in front; the original may be everybody's.
template <class T>
TensorView with_nan(TensorView tensor, Arena& arena) {
  const auto from = tensor.as<T>();
  if (from.empty()) return tensor;
  auto to = arena.array<T>(from.size());
  std::ranges::copy(from, to.begin());
  to[0] = std::numeric_limits<T>::quiet_NaN();
  tensor.data = std::as_bytes(to);
  return tensor;
}

}  // namespace

void Fault::strike() const {
  if (delays() && by_chance(delay_rate)) std::this_thread::sleep_for(delay);
  if (by_chance(crash)) std::raise(SIGSEGV);
}

Result<void> Fault::spoil(Request& request) const {
  if (by_chance(errors)) {
    return fail(Code::kInternal, "injected_fault",
                "this version fails on purpose (inject_faults); leave that option out to serve it");
  }
  if (!by_chance(nan)) return {};
  for (TensorView& output : request.reply.outputs) {
    if (output.dtype == DType::kFloat32) output = with_nan<float>(output, request.arena);
    if (output.dtype == DType::kFloat64) output = with_nan<double>(output, request.arena);
  }
  return {};
}

Result<FaultTable> FaultTable::parse(std::string_view text) {
  FaultTable out;
  for (const auto piece : split(text, ';')) {
    const auto part = trim(piece);
    if (part.empty()) continue;
    const auto colon = part.find(':');
    const auto name = trim(part.substr(0, colon));
    const auto slash = name.find('/');
    if (colon == std::string_view::npos || slash == std::string_view::npos) {
      return bad(part, "it does not begin with MODEL/VERSION:");
    }
    SLUICE_TRY(const auto model, ModelName::parse(name.substr(0, slash)));
    SLUICE_TRY(const auto version, VersionName::parse(name.substr(slash + 1)));
    Fault fault;
    bool any = false;
    for (const auto setting : split(part.substr(colon + 1), ' ')) {
      if (trim(setting).empty()) continue;
      SLUICE_CHECK(read_setting(trim(setting), fault));
      any = true;
    }
    if (!any) return bad(part, "it names no fault");
    const bool fresh =
        out.faults_
            .emplace(std::pair(model.str(), version.str()), std::make_shared<const Fault>(fault))
            .second;
    if (!fresh) return bad(part, "the version was named before");
  }
  return out;
}

std::shared_ptr<const Fault> FaultTable::of(const ModelName& model,
                                            const VersionName& version) const {
  const auto found = faults_.find({model.str(), version.str()});
  return found == faults_.end() ? nullptr : found->second;
}

}  // namespace sluice::serving
