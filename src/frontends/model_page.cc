#include "frontends/model_page.h"

#include <utility>

#include "base/text.h"
#include "frontends/http_errors.h"

namespace sluice::frontends {

void serve_model_page(Router& router, const Parts& parts, std::string_view path, TellOfModel tell) {
  router.serve(
      "GET", path,
      [&tables = parts.tables, tell = std::move(tell)](const transport::ExchangePtr& exchange) {
        const auto name = exchange->admission().parameters[0];
        const auto table = tables.get();  // shared: the entry lives as long as it
        const ModelEntry* entry = table->find(name);
        Result<std::string> told =
            entry != nullptr
                ? tell(*entry, exchange->head().query)
                : not_found("unknown_model", "there is no model '" + printable(name) +
                                                 "'; GET /api/models lists those that there are");
        if (!told) return exchange->respond(simple_error(told.error()));
        transport::Response response;
        response.body = *std::move(told);
        exchange->respond(std::move(response));
      });
}

}  // namespace sluice::frontends
