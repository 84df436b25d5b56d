#include "frontends/oip_control.h"

#include "base/text.h"

namespace sluice::frontends {

Result<void> check_load_parameter(std::string_view key) {
  if (key == "unload_dependents") return {};
  return fail(Code::kUnimplemented, "bad_parameter",
              "parameter '" + printable(key) +
                  "' is not taken: put configuration and files into the repository");
}

void load_model(const Parts& parts, std::string_view model, repository::Repository::Done done) {
  auto name = ModelName::parse(model);
  if (!name) return done(Failure(name.error()));
  parts.repository.load(std::move(*name), std::move(done));
}

void unload_model(const Parts& parts, std::string_view model, repository::Repository::Done done) {
  auto name = ModelName::parse(model);
  if (!name) return done(Failure(name.error()));
  parts.repository.unload(std::move(*name), std::move(done));
}

}  // namespace sluice::frontends
