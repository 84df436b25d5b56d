// Pages of the management API about one model: GET /api/models/{m}/…
//
// Thread-safety: a function without state.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "frontends/parts.h"
#include "frontends/router.h"

namespace sluice::frontends {

// JSON about a model that there is. `query`: of the URL.
using TellOfModel = std::function<Result<std::string>(const ModelEntry&, std::string_view query)>;

// Serves GET `path`, whose first parameter is the model's name; 404 where there is none.
void serve_model_page(Router& router, const Parts& parts, std::string_view path, TellOfModel tell);

}  // namespace sluice::frontends
