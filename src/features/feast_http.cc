#include "features/feast_http.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/text.h"
#include "clients/http.h"
#include "features/feast_answer.h"
#include "features/feast_keys.h"

namespace sluice::features {
namespace {

using Deadline = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

struct Shared {
  std::string name;  // "feature store 'shop'"
  std::string url;
  clients::HttpClient client;
};

Failure timed_out(const std::string& name) {
  return fail(Code::kDeadlineExceeded, "store_timeout",
              name + " did not answer in time; look at it, or give it longer (timeout)");
}

// Why there is no answer. Where the server is, is not told.
Failure failure_of(const Error& error, const std::string& name, Deadline deadline) {
  if (error.reason == "stalled" || std::chrono::steady_clock::now() >= deadline) {
    return timed_out(name);
  }
  if (error.code == Code::kUnavailable) {
    return unavailable("store_unavailable",
                       name + " cannot be reached: " + error.message + "; is it running?");
  }
  return fail(Code::kFailedPrecondition, "bad_store",
              name + " cannot be asked: " + error.message + "; check its url");
}

// Its body may say anything, of other users too, and is not shown.
Result<void> check_status(int status, const std::string& name) {
  if (status >= 200 && status < 300) return {};
  const auto what = name + " answers with status " + std::to_string(status);
  constexpr int kTimeout = 408, kTooMany = 429;
  if (status >= 500 || status == kTimeout || status == kTooMany) {
    return unavailable("store_unavailable", what + "; its log says why");
  }
  return fail(Code::kFailedPrecondition, "bad_store",
              what + "; check its url, and that the feature views and features are there");
}

class Reader final : public FeatureReader {
 public:
  Reader(std::shared_ptr<const Shared> shared, const FeatureLookup& lookup)
      : shared_(std::move(shared)), lookup_(lookup) {}

  Result<void> read(std::span<const EntityValues> entities, std::span<FeatureRow> rows,
                    Deadline deadline) const override {
    SLUICE_TRY(auto request, request_for(entities));
    const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return timed_out(shared_->name);
    request.connect_timeout = left;
    request.timeout = left;
    const auto answer = shared_->client.send(request);
    if (!answer) return failure_of(answer.error(), shared_->name, deadline);
    SLUICE_CHECK(check_status(answer->status, shared_->name));
    SLUICE_CHECK(read_feast_answer(answer->body, shared_->name, lookup_, entities, rows));
    forget_what_was_not_asked(entities, rows);
    return {};
  }

 private:
  Result<clients::HttpRequest> request_for(std::span<const EntityValues> entities) const {
    clients::HttpRequest out;
    out.method = "POST";
    out.url = shared_->url;
    out.headers.emplace_back("Content-Type", "application/json");
    out.stall_rate = 0;  // the deadline is the limit
    SLUICE_TRY(out.body, feast_question(lookup_, entities));
    return out;
  }

  // JSON has no bytes that are not UTF-8: another entity was asked for in place of such a one.
  static void forget_what_was_not_asked(std::span<const EntityValues> entities,
                                        std::span<FeatureRow> rows) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!std::ranges::all_of(entities[i], is_utf8)) rows[i] = {};
    }
  }

  const std::shared_ptr<const Shared> shared_;
  const FeatureLookup lookup_;
};

class Store final : public FeatureStore {
 public:
  explicit Store(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

  Result<std::unique_ptr<const FeatureReader>> reader(const FeatureLookup& lookup) const override {
    for (const auto& feature : lookup.features) SLUICE_CHECK(parse_feast_name(feature.name));
    return std::make_unique<Reader>(shared_, lookup);
  }

 private:
  const std::shared_ptr<const Shared> shared_;
};

}  // namespace

Result<std::shared_ptr<const FeatureStore>> open_feast_http(const StoreOptions& options) {
  constexpr std::string_view kFeast = "feast+";
  std::string_view text = options.url;
  if (text.starts_with(kFeast)) text.remove_prefix(kFeast.size());
  const auto name = "feature store '" + printable(options.name) + "'";
  const auto url = clients::parse_http_url(text);
  if (!url) return invalid("bad_store_url", name + ": " + url.error().message);
  auto shared = std::make_shared<Shared>();
  shared->name = name;
  shared->url =
      url->origin() + url->path + (url->path.ends_with('/') ? "" : "/") + "get-online-features";
  return std::make_shared<Store>(std::shared_ptr<const Shared>(std::move(shared)));
}

}  // namespace sluice::features
