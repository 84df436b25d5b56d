// What a client asked to know beside the answer, and what is to be said of it: `debug`,
// `explanation`, warnings, fetched features. One form for every protocol that has a place for it:
// fields of an object in the JSON of the simple API and TensorFlow Serving, JSON as text elsewhere.
//
// Thread-safety: functions without state.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json_writer.h"
#include "core/request.h"

namespace sluice::codecs {

// Fields of the object that is open.
void write_asides(const Request& request, JsonWriter& json);
// All of them but features, which only the simple protocols have, as name and JSON text.
std::vector<std::pair<std::string_view, std::string>> asides_of(const Request& request);

}  // namespace sluice::codecs
