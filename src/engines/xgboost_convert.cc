#include "engines/xgboost_convert.h"

#include <xgboost/c_api.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/log.h"
#include "base/text.h"
#include "engines/xgboost_file.h"

namespace sluice::engines {
namespace {

// What stands for a literal that JSON does not have; longer ones first.
constexpr std::pair<std::string_view, std::string_view> kLiterals[] = {
    {"-Infinity", R"("\u0007-Infinity")"},
    {"Infinity", R"("\u0007Infinity")"},
    {"NaN", R"("\u0007NaN")"},
};

// Where the text in quotes that begins at `at` is over.
std::size_t end_of_quotes(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// Literals become what stands for them, or with `kQuoted` the other way round.
template <bool kQuoted>
std::string replaced(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const bool quotes = text[at] == '"';
    std::size_t end = quotes ? end_of_quotes(text, at) : at + 1;
    std::string_view piece = text.substr(at, end - at);
    for (const auto& [literal, marker] : kLiterals) {
      if (kQuoted ? piece == marker : !quotes && text.substr(at).starts_with(literal)) {
        if (!kQuoted) end = at + literal.size();
        piece = kQuoted ? literal : marker;
        break;
      }
    }
    out += piece;
    at = end;
  }
  return out;
}

struct FreeBooster {
  void operator()(void* booster) const { XGBoosterFree(booster); }
};

Failure failed(std::string message) {
  const std::string_view text = XGBGetLastError();
  log::debug("XGBoost: " + printable(text.substr(0, text.find('\n')), 300));
  return invalid("bad_model", std::move(message));
}

Result<std::string> convert(std::string_view bytes, const char* format) {
  SLUICE_CHECK(check_xgboost_file(bytes));
  BoosterHandle handle = nullptr;
  if (XGBoosterCreate(nullptr, 0, &handle) != 0) return internal("XGBoost cannot start");
  const std::unique_ptr<void, FreeBooster> booster(handle);
  if (XGBoosterLoadModelFromBuffer(handle, bytes.data(), bytes.size()) != 0) {
    return failed(
        "XGBoost cannot load the model: it lacks a part, or is of a version that is not known");
  }
  bst_ulong length = 0;
  const char* text = nullptr;
  if (XGBoosterSaveModelToBuffer(handle, format, &length, &text) != 0) {
    return failed("XGBoost cannot write the model again");
  }
  return std::string(text, length);
}

}  // namespace

std::string strict_json(std::string_view text) { return replaced<false>(text); }

std::string loose_json(std::string_view text) { return replaced<true>(text); }

Result<std::string> xgboost_as_json(std::span<const std::byte> model) {
  return convert({reinterpret_cast<const char*>(model.data()), model.size()},
                 R"({"format":"json"})");
}

Result<std::string> xgboost_from_json(std::string_view json, bool ubj) {
  return convert(json, ubj ? R"({"format":"ubj"})" : R"({"format":"json"})");
}

}  // namespace sluice::engines
