#include "transport/content_coding.h"

#include <string>

#include "base/text.h"
#include "transport/buffer.h"
#include "transport/gzip.h"

namespace sluice::transport {
namespace {

constexpr std::string_view name_of(Coding coding) {
  return coding == Coding::kGzip ? "gzip" : "deflate";
}

class CodedExchange final : public Exchange {
 public:
  CodedExchange(ExchangePtr inner, std::size_t min_answer)
      : inner_(std::move(inner)), min_answer_(min_answer), body_(inner_->body()) {}

  // `plain` replaces the body.
  void set_body(std::string plain) {
    storage_ = std::move(plain);
    const std::size_t size = storage_.size();
    storage_.append(Buffer::kPadding, '\0');
    body_ = std::string_view(storage_).substr(0, size);
  }

  const RequestHead& head() const override { return inner_->head(); }
  const Admission& admission() const override { return inner_->admission(); }
  std::string_view body() const override { return body_; }
  Turn& turn() override { return inner_->turn(); }

  void respond(Response response) override {
    const Coding coding = admission().answer_coding;
    if (coding != Coding::kIdentity && response.body.size() >= min_answer_) {
      response.body = coding == Coding::kGzip ? gzip(response.body) : deflate(response.body);
      response.headers.emplace_back("Content-Encoding", name_of(coding));
      response.headers.emplace_back("Vary", "Accept-Encoding");
    }
    inner_->respond(std::move(response));
  }

 private:
  ExchangePtr inner_;
  const std::size_t min_answer_;
  std::string storage_;
  std::string_view body_;
};

bool refused_by_weight(std::string_view parameters) {
  const auto q = trim(parameters);
  return q.starts_with("q=0") && q.find_first_not_of("0.", 2) == std::string_view::npos;
}

}  // namespace

std::optional<Coding> coding_named(std::string_view content_encoding) {
  const auto name = trim(content_encoding);
  if (name.empty() || iequals(name, "identity")) return Coding::kIdentity;
  if (iequals(name, "gzip") || iequals(name, "x-gzip")) return Coding::kGzip;
  if (iequals(name, "deflate")) return Coding::kDeflate;
  return std::nullopt;
}

Coding accepted_coding(std::string_view accept_encoding) {
  Coding best = Coding::kIdentity;
  for (const auto item : split(accept_encoding, ',')) {
    const auto semicolon = item.find(';');
    const auto name = trim(item.substr(0, semicolon));
    if (semicolon != std::string_view::npos && refused_by_weight(item.substr(semicolon + 1))) {
      continue;
    }
    if (iequals(name, "gzip") || name == "*") return Coding::kGzip;
    if (iequals(name, "deflate")) best = Coding::kDeflate;
  }
  return best;
}

Result<ExchangePtr> with_coding(ExchangePtr exchange, std::size_t min_answer) {
  const Admission& admission = exchange->admission();
  const bool compressed = admission.request_coding != Coding::kIdentity;
  if (!compressed && admission.answer_coding == Coding::kIdentity) return exchange;
  auto coded = std::make_shared<CodedExchange>(std::move(exchange), min_answer);
  if (compressed) {
    SLUICE_TRY(auto plain, inflate(coded->body(), coded->admission().max_body));
    coded->set_body(std::move(plain));
  }
  return coded;
}

}  // namespace sluice::transport
