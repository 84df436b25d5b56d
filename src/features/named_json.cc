#include "features/named_json.h"

#include "base/json_writer.h"
#include "base/time_text.h"

namespace sluice::features {
namespace {

struct WriteData {
  JsonWriter& json;

  void operator()(Null) const { json.null(); }
  void operator()(Absent) const { json.null(); }
  void operator()(const Unreadable&) const { json.null(); }
  void operator()(bool value) const { json.value(value); }
  void operator()(std::int64_t value) const { json.value(value); }
  void operator()(double value) const {
    // As short as it was stored by those who store floats.
    const auto single = static_cast<float>(value);
    if (static_cast<double>(single) == value) {
      json.value(single);
    } else {
      json.value(value);
    }
  }
  void operator()(const std::string& value) const { json.value(std::string_view(value)); }
  template <class T>
  void operator()(const std::vector<T>& list) const {
    json.begin_array();
    for (const auto& each : list) (*this)(each);
    json.end_array();
  }
};

}  // namespace

std::string named_json(std::string_view store, std::string_view entity,
                       const NamedFeatures& features) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("store", store).field("entity", entity);
  json.key("features").begin_object();
  for (const auto& [name, value] : features) {
    json.key(name);
    std::visit(WriteData{json}, value.data);
  }
  json.end_object().key("feature_times").begin_object();
  for (const auto& [name, value] : features) {
    if (value.time_ns == 0) continue;
    std::string time;
    append_time(value.time_ns, time);
    json.field(name, std::string_view(time));
  }
  json.end_object();
  // A value that is there and no use to a model.
  json.key("problems").begin_object();
  for (const auto& [name, value] : features) {
    if (const auto* bad = std::get_if<Unreadable>(&value.data)) json.field(name, bad->why);
  }
  json.end_object().end_object();
  return out;
}

}  // namespace sluice::features
