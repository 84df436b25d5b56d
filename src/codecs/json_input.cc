#include "codecs/json_input.h"

#include <cmath>
#include <memory>
#include <set>

#include "base/text.h"

namespace sluice::codecs {

od::parser& thread_parser() {
  constexpr std::size_t kKeep = std::size_t{4} << 20;
  thread_local auto parser = std::make_unique<od::parser>();
  if (parser->capacity() > kKeep) parser = std::make_unique<od::parser>();
  return *parser;
}

Failure not_json(simdjson::error_code error, od::document& document, std::string_view body) {
  std::string message = "the body is not valid JSON";
  const char* at = nullptr;
  if (document.current_location().get(at) == simdjson::SUCCESS && at >= body.data() &&
      at <= body.data() + body.size()) {
    message += " near byte " + std::to_string(at - body.data());
  }
  return not_json(message + ": " + simdjson::error_message(error));
}

Failure not_json(std::string_view what) { return invalid("not_json", std::string(what)); }

Failure not_an_object(simdjson::error_code error, od::document& document, std::string_view body,
                      std::string_view with) {
  static constexpr std::string_view kStarts = "[\"-0123456789tfn";
  const auto first = body.find_first_not_of(" \t\r\n");
  const bool other_json = error == simdjson::INCORRECT_TYPE && first != std::string_view::npos &&
                          kStarts.find(body[first]) != std::string_view::npos;
  if (!other_json) return not_json(error, document, body);
  return invalid("wrong_type", "the body must be a JSON object with " + std::string(with));
}

namespace {

Failure broken(simdjson::error_code error) {
  return not_json(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
}

Result<void> visit_object(od::object object, int depth) {
  std::set<std::string> seen;  // copies: the parser reuses its string buffer
  for (auto field : object) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return broken(error);
    if (!seen.emplace(key).second) {
      return invalid("duplicate_key", "key '" + printable(key) + "' is given twice");
    }
    od::value value;
    if (auto error = field.value().get(value)) return broken(error);
    SLUICE_CHECK(visit(value, depth + 1));
  }
  return {};
}

Result<void> visit_array(od::array array, int depth) {
  for (auto element : array) {
    od::value value;
    if (auto error = element.get(value)) return broken(error);
    SLUICE_CHECK(visit(value, depth + 1));
  }
  return {};
}

Result<void> visit_number(od::value value) {
  if (value.raw_json_token().size() > kMaxNumberLength) {
    return not_json("a number in the body has more than 64 characters");
  }
  double number = 0;
  if (auto error = value.get_double().get(number)) return broken(error);
  return {};
}

}  // namespace

Result<void> visit(od::value value, int depth) {
  if (depth > kMaxJsonDepth) return not_json("the body is nested more than 32 levels deep");
  od::json_type type;
  if (auto error = value.type().get(type)) return broken(error);
  switch (type) {
    case od::json_type::object: {
      od::object object;
      if (auto error = value.get_object().get(object)) return broken(error);
      return visit_object(object, depth);
    }
    case od::json_type::array: {
      od::array array;
      if (auto error = value.get_array().get(array)) return broken(error);
      return visit_array(array, depth);
    }
    case od::json_type::string: {
      std::string_view text;
      if (auto error = value.get_string().get(text)) return broken(error);
      if (text.size() > kMaxStringLength) return not_json("a string has more than 16 MiB");
      return {};
    }
    case od::json_type::boolean: {
      bool flag = false;
      if (auto error = value.get_bool().get(flag)) return broken(error);
      return {};
    }
    case od::json_type::number: return visit_number(value);
    case od::json_type::null: {
      bool null = false;
      if (auto error = value.is_null().get(null)) return broken(error);
      if (!null) return not_json("the body has a word that is not JSON");
      return {};
    }
  }
  return not_json("the body has a value that is not JSON");
}

Result<std::string_view> read_string(od::value value, std::string_view name) {
  std::string_view text;
  const auto error = value.get_string().get(text);
  if (error == simdjson::INCORRECT_TYPE) {
    return invalid("wrong_type", "'" + std::string(name) + "' must be a string, not " +
                                     std::string(kind_of(value)));
  }
  if (error) return broken(error);
  return text;
}

Result<bool> read_bool(od::value value, std::string_view name) {
  bool flag = false;
  if (value.get_bool().get(flag)) {
    return invalid("wrong_type", "'" + std::string(name) + "' must be true or false, not " +
                                     std::string(kind_of(value)));
  }
  return flag;
}

Result<double> read_double(od::value value, std::string_view name) {
  double number = 0;
  const auto error = value.get_double().get(number);
  if (error == simdjson::NUMBER_ERROR || (!error && !std::isfinite(number))) {
    return invalid("out_of_range", "'" + std::string(name) + "' is out of range");
  }
  if (error) {
    return invalid("wrong_type", "'" + std::string(name) + "' must be a number, not " +
                                     std::string(kind_of(value)));
  }
  return number;
}

std::string_view kind_of(od::value value) {
  od::json_type type;
  if (value.type().get(type)) return "something that is not JSON";
  switch (type) {
    case od::json_type::object: return "an object";
    case od::json_type::array: return "an array";
    case od::json_type::string: return "a string";
    case od::json_type::boolean: return "true or false";
    case od::json_type::null: return "null";
    case od::json_type::number: return "a number";
  }
  return "something else";
}

}  // namespace sluice::codecs
