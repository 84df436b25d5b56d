// What all stores that speak HTTP share: statuses as errors, and pieces of an object.
//
// Thread-safety: functions without state.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "clients/http.h"
#include "sources/object_store.h"

namespace sluice::sources {

// Nothing for a 2xx. `what` begins the message ("the S3 bucket").
// Errors: kPermissionDenied for 401 and 403, kNotFound, kUnavailable for 408, 429 and 5xx,
// kUnavailable/`changing` for 412 (the object is another by now), kUnavailable/`not_a_store` for
// redirects, which nobody follows here, and for a proxy that wants a login; else
// kFailedPrecondition.
Result<void> check_status(const clients::HttpAnswer& answer, std::string_view what);

// Puts the store's name before the message of an error.
Error named(Error error, std::string_view what);
// The same where nobody answered, with the variable that names the host that was asked, and never
// that itself.
Error unanswered(Error error, std::string_view what, std::string_view url);

// The address that a variable of the environment (`name`, which begins the message) gives.
// Errors: those of clients::parse_http_url.
Result<clients::Url> url_of_variable(std::string_view name, std::string_view text);

// Of what a server sends, whether it is of the object that was meant.
using SameObject = std::function<bool(const clients::HttpAnswer& head)>;

// What else than check_status says what a status means.
using StatusCheck = std::function<Result<void>(const clients::HttpAnswer& answer)>;

// How large the whole is of which this 206 answers a range, where it says so.
std::optional<std::uint64_t> range_total(const clients::HttpAnswer& answer);

// A GET for this range of this object. A server that answers with the whole object is put up with:
// what lies before the range is thrown away. Errors: those of `check`, else check_status, and of
// the client; kUnavailable/`changing` where it is not the `same` object, or a longer one than was
// listed; kUnavailable/`not_a_store` where a web page came instead.
Result<clients::HttpAnswer> fetch_range(const clients::HttpClient& client,
                                        clients::HttpRequest request, const Object& object,
                                        Range range, std::string_view what, const ByteSink& sink,
                                        const SameObject& same = nullptr,
                                        const StatusCheck& check = nullptr);

// The headers that ask for this range of this object.
clients::HttpHeaders range_headers(const Object& object, Range range);

// An answer that is HTML, where this object was meant and is none by its name.
bool is_page_instead_of(std::string_view key, const clients::HttpAnswer& answer);

// Asks the service of a machine that hands out credentials: what it answers with 200, nothing where
// there is no such service or it has none. Errors: kUnavailable/`bad_credentials` for 429 and 5xx,
// as while the machine starts. `what` begins the message.
Result<std::optional<std::string>> ask_machine(const clients::HttpClient& client,
                                               const clients::HttpRequest& request,
                                               std::string_view what);

// HTML, which is what proxies and login pages answer.
bool is_web_page(const clients::HttpAnswer& answer);

// A small JSON or XML document. Errors: as above.
Result<clients::HttpAnswer> fetch_document(const clients::HttpClient& client,
                                           const clients::HttpRequest& request,
                                           std::string_view what);
// The same of an answer that has come.
Result<void> check_document(const clients::HttpAnswer& answer, std::string_view what);

}  // namespace sluice::sources
