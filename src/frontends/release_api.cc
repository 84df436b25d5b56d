#include "frontends/release_api.h"

#include <nlohmann/json.hpp>

#include "base/name_list.h"
#include "base/text.h"
#include "frontends/json_body.h"
#include "frontends/rest_call.h"
#include "release/releases.h"

namespace sluice::frontends {
namespace {

using json = nlohmann::ordered_json;
using release::Releases;
using transport::ExchangePtr;
using transport::Response;

void tell(const ExchangePtr& exchange, const Result<json>& result) {
  if (!result) return exchange->respond(simple_error(result.error()));
  Response response;
  response.body = result->dump(-1, ' ', false, json::error_handler_t::replace);
  exchange->respond(std::move(response));
}

Releases::Answer answer_to(const ExchangePtr& exchange) {
  return [exchange](const Result<json>& result) { tell(exchange, result); };
}

std::string model_of(const ExchangePtr& exchange) {
  return std::string(exchange->admission().parameters[0]);
}

// `If-Match: "3"`, or nothing. Errors: of another form.
Result<std::optional<std::uint64_t>> if_match(const transport::RequestHead& head) {
  const auto header = head.find("if-match");
  if (!header || trim(*header) == "*") return std::nullopt;
  auto text = trim(*header);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') {
    text = text.substr(1, text.size() - 2);
  }
  const auto revision = parse_uint(text);
  if (!revision) {
    return invalid("bad_revision", "If-Match must be a release's revision, such as \"3\"");
  }
  return revision;
}

// Of the header, or of the body where it has one.
Result<std::optional<std::uint64_t>> revision_of(const transport::Exchange& exchange,
                                                 const json& body) {
  SLUICE_TRY(const auto header, if_match(exchange.head()));
  const auto found = body.find("revision");
  if (found == body.end()) return header;
  if (!found->is_number_unsigned()) {
    return invalid("bad_revision", "'revision' must be a whole number of at least 0");
  }
  const auto given = found->get<std::uint64_t>();
  if (header && *header != given) {
    return invalid("bad_revision", "If-Match and 'revision' are two different revisions");
  }
  return std::optional(given);
}

void put(const Parts& parts, const ExchangePtr& exchange) {
  auto body = read_object(*exchange);
  if (!body) return tell(exchange, Failure(body.error()));
  const auto revision = revision_of(*exchange, *body);
  if (!revision) return tell(exchange, Failure(revision.error()));
  parts.releases.put(model_of(exchange), std::move(*body), *revision, answer_to(exchange));
}

void remove(const Parts& parts, const ExchangePtr& exchange) {
  const auto revision = if_match(exchange->head());
  if (!revision) return tell(exchange, Failure(revision.error()));
  parts.releases.remove(model_of(exchange), *revision, "api", answer_to(exchange));
}

void act(const Parts& parts, const ExchangePtr& exchange, release::Command command) {
  const auto body = read_object(*exchange);
  if (!body) return tell(exchange, Failure(body.error()));
  const auto revision = revision_of(*exchange, *body);
  if (!revision) return tell(exchange, Failure(revision.error()));
  std::string version;
  for (const auto& [key, value] : body->items()) {
    if (key == "version" && value.is_string()) {
      version = value.get<std::string>();
    } else if (key == "version") {
      return tell(exchange, invalid("wrong_type", "'version' must be a string"));
    } else if (key != "revision") {
      return tell(exchange, invalid("unknown_key", "'" + printable(key) +
                                                       "' is not known here; there are version and "
                                                       "revision"));
    }
  }
  parts.releases.command(model_of(exchange), command, std::move(version), *revision,
                         answer_to(exchange));
}

// A class may be told by its name.
Result<double> label_of(const Parts& parts, const std::string& model, const json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) {
    return invalid("wrong_type", "'true_label' must be a number, or the name of a class");
  }
  const auto table = parts.tables.get();
  const auto* entry = table->find(model.empty() ? table->default_model : model);
  if (entry == nullptr || entry->ready.empty()) {
    return invalid("wrong_type", "a class can only be named for a model: say which as 'model'");
  }
  const auto& names = entry->ready.back()->signature().class_names;
  const auto found = std::ranges::find(names, value.get<std::string>());
  if (found == names.end()) {
    return invalid("bad_label", "'" + printable(value.get<std::string>()) +
                                    "' is no class of model '" + entry->name.str() + "'" +
                                    (names.empty() ? "; its classes have no names"
                                                   : ": they are " + name_list(names)));
  }
  return static_cast<double>(found - names.begin());
}

Result<release::Feedback> read_feedback(const Parts& parts, const json& body, std::string& model) {
  release::Feedback out;
  const auto text = [&](const char* key, std::string& to) -> Result<void> {
    const auto found = body.find(key);
    if (found == body.end()) return {};
    if (!found->is_string()) {
      return invalid("wrong_type", "'" + std::string(key) + "' must be a string");
    }
    to = found->get<std::string>();
    return {};
  };
  SLUICE_CHECK(text("request_id", out.request_id));
  SLUICE_CHECK(text("model", model));
  if (out.request_id.empty()) {
    return invalid("missing_key", "feedback needs the request_id of the prediction's answer");
  }
  if (const auto label = body.find("true_label"); label != body.end()) {
    SLUICE_TRY(out.label, label_of(parts, model, *label));
  }
  if (const auto reward = body.find("reward"); reward != body.end()) {
    if (!reward->is_number()) return invalid("wrong_type", "'reward' must be a number");
    out.reward = reward->get<double>();
  }
  if (!out.label && !out.reward) {
    return invalid("missing_key", "feedback needs a true_label or a reward");
  }
  return out;
}

void feedback(const Parts& parts, const ExchangePtr& exchange) {
  const auto body = read_object(*exchange);
  if (!body) return tell(exchange, Failure(body.error()));
  std::string model;
  auto told = read_feedback(parts, *body, model);
  if (!told) return tell(exchange, Failure(told.error()));
  parts.releases.feedback(std::move(model), std::move(*told), answer_to(exchange));
}

}  // namespace

void add_release_api(Router& router, const Parts& parts) {
  const std::string release = "/api/models/{}/release";
  router.serve("GET", release, [parts](const ExchangePtr& exchange) {
    parts.watch.finishing.settle();
    parts.releases.status(model_of(exchange), answer_to(exchange));
  });
  router.serve("PUT", release, [parts](const ExchangePtr& exchange) { put(parts, exchange); });
  router.serve("DELETE", release,
               [parts](const ExchangePtr& exchange) { remove(parts, exchange); });
  using release::Command;
  for (const auto& [word, command] :
       {std::pair{"promote", Command::kPromote}, std::pair{"rollback", Command::kRollback},
        std::pair{"pause", Command::kPause}, std::pair{"resume", Command::kResume}}) {
    router.serve("POST", release + "/" + word,
                 [parts, command](const ExchangePtr& exchange) { act(parts, exchange, command); });
  }
  router.serve("GET", "/api/models/{}/bandit", [parts](const ExchangePtr& exchange) {
    parts.watch.finishing.settle();
    parts.releases.bandit(model_of(exchange), answer_to(exchange));
  });
  router.serve("POST", "/feedback",
               [parts](const ExchangePtr& exchange) { feedback(parts, exchange); });
}

}  // namespace sluice::frontends
