// Errors that can happen, as values.
//
// Every fallible function of ours returns Result<T>. An Error has one of gRPC's sixteen canonical
// codes (what kind of failure, so that each protocol can choose its own status), a reason (a stable
// machine-readable word), a message for people and, where a guard objects, details. A message says
// what was wrong, where, what was expected and what to do; it never shows a path, an address or
// another user's data.
//
// Thread-safety: plain values.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

// Numbers are gRPC's own (grpc/doc/statuscodes.md), so that the gRPC front end needs no table.
enum class Code : std::uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// One violation of a guard: which feature, what it was and what it may be.
struct ErrorDetail {
  std::string feature;
  double value = 0;           // NaN and infinities are told as null
  std::optional<double> low;  // of the bounds; nothing: open
  std::optional<double> high;
  std::string problem;  // a sentence
};

struct Error {
  Code code = Code::kInternal;
  std::string_view reason = "internal";  // always a literal
  std::string message;
  std::vector<ErrorDetail> details;
};

template <class T>
using Result = std::expected<T, Error>;

using Failure = std::unexpected<Error>;

inline Failure fail(Code code, std::string_view reason, std::string message) {
  return Failure(Error{code, reason, std::move(message), {}});
}

// The request cannot be read or does not fit the model.
inline Failure invalid(std::string_view reason, std::string message) {
  return fail(Code::kInvalidArgument, reason, std::move(message));
}

inline Failure not_found(std::string_view reason, std::string message) {
  return fail(Code::kNotFound, reason, std::move(message));
}

inline Failure unavailable(std::string_view reason, std::string message) {
  return fail(Code::kUnavailable, reason, std::move(message));
}

// A fault of ours.
inline Failure internal(std::string message) {
  return fail(Code::kInternal, "internal", std::move(message));
}

}  // namespace sluice

// Evaluates `expr` (a Result); on failure returns its error from the enclosing function, otherwise
// declares `var` with the value.
#define SLUICE_CONCAT_(a, b) a##b
#define SLUICE_CONCAT(a, b) SLUICE_CONCAT_(a, b)
#define SLUICE_TRY_IMPL(tmp, var, expr)                       \
  auto tmp = (expr);                                          \
  if (!tmp) return ::sluice::Failure(std::move(tmp).error()); \
  var = *std::move(tmp)
#define SLUICE_TRY(var, expr) SLUICE_TRY_IMPL(SLUICE_CONCAT(try_, __LINE__), var, expr)
#define SLUICE_CHECK(expr) \
  if (auto checked_ = (expr); !checked_) return ::sluice::Failure(std::move(checked_).error())
