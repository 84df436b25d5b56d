#include "codecs/asides.h"

#include "core/debug_info.h"

namespace sluice::codecs {

std::vector<std::pair<std::string_view, std::string>> asides_of(const Request& request) {
  std::vector<std::pair<std::string_view, std::string>> out;
  if (!request.debug && !request.explain) return out;
  if (request.reply.debug) {
    std::string text;
    JsonWriter json(text);
    write_debug(*request.reply.debug, request.reply.prediction, request.many_rows, json);
    out.emplace_back("debug", std::move(text));
  }
  return out;
}

void write_asides(const Request& request, JsonWriter& json) {
  for (const auto& [name, text] : asides_of(request)) json.key(name).raw(text);
}

}  // namespace sluice::codecs
