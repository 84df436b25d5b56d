#include "empty_oip.h"

#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "base/text.h"
#include "clients/shared_memory.h"
#include "codecs/oip_json.h"
#include "codecs/oip_proto.h"
#include "core/servable.h"

namespace sluice::bench {
namespace {

// What the codecs ask of the model that answers: its names.
class NoModel final : public Servable {
 public:
  explicit NoModel(Signature signature) : signature_(std::move(signature)) {}
  const ModelName& model() const override { return model_; }
  const VersionName& version() const override { return version_; }
  const Signature& signature() const override { return signature_; }
  bool run(RequestPtr&) const override { std::abort(); }
  Result<void> warm_up() const override { return {}; }
  const Model& loaded() const override { std::abort(); }
  Tally& tally() const override { std::abort(); }

 private:
  const ModelName model_ = *ModelName::parse("breast_cancer");
  const VersionName version_ = *VersionName::parse("v1");
  const Signature signature_;
};
using ModelPtr = std::shared_ptr<const Servable>;

const clients::SharedMemory kNoMemory(false);
const std::vector<float> kConstants(std::size_t{1} << 18, 0.5F);

// Every output, with as many rows as the first input has.
Result<void> fill(Request& request) {
  const Signature& signature = request.servable->signature();
  const Shape& input = request.inputs[0].shape;
  if (input.rank() == 0) return invalid("wrong_shape", "the input has no rows");
  request.reply.outputs = request.arena.array<TensorView>(signature.outputs.size());
  for (std::size_t i = 0; i < signature.outputs.size(); ++i) {
    TensorView& out = *new (&request.reply.outputs[i]) TensorView;
    for (const auto dim : signature.outputs[i].dims) out.shape.push(dim == -1 ? input[0] : dim);
    SLUICE_TRY(const auto count, element_count(out.shape.dims()));
    if (count > kConstants.size()) return invalid("too_large", "too many rows");
    out.data = std::as_bytes(std::span(kConstants).first(count));
  }
  return {};
}

// The headers are those of frontends/rest_oip.cc.
Result<transport::Response> answer_rest(const ModelPtr& model,
                                        const transport::Exchange& exchange) {
  const auto request = std::make_unique<Request>();
  request->servable = model;
  const auto length =
      parse_uint(trim(exchange.head().find("inference-header-content-length").value_or("")));
  if (!length) return invalid("bad_header", "no Inference-Header-Content-Length");
  SLUICE_CHECK(
      codecs::decode_oip_json(exchange.body(), *length, model->signature(), kNoMemory, *request));
  SLUICE_CHECK(fill(*request));
  transport::Response response;
  response.body.reserve(256);
  SLUICE_TRY(const auto json, codecs::encode_oip_json(*request, response.body));
  if (json) {
    response.content_type = "application/octet-stream";
    response.headers.emplace_back("Inference-Header-Content-Length", std::to_string(*json));
  }
  return response;
}

Result<std::string> answer_grpc(const ModelPtr& model, std::string_view message) {
  const auto request = std::make_unique<Request>();
  request->servable = model;
  SLUICE_CHECK(codecs::decode_oip_proto(message, model->signature(), kNoMemory, *request));
  SLUICE_CHECK(fill(*request));
  return codecs::encode_oip_proto(*request);
}

}  // namespace

void add_empty_oip(frontends::Router& router, transport::GrpcMethods& methods,
                   Signature signature) {
  const ModelPtr model = std::make_shared<NoModel>(std::move(signature));
  router.serve("POST", "/v2/models/{}/versions/{}/infer",
               [model](const transport::ExchangePtr& exchange) {
                 auto response = answer_rest(model, *exchange);
                 exchange->respond(response ? std::move(*response)
                                            : frontends::plain_error(response.error()));
               });
  methods.add("/inference.GRPCInferenceService/ModelInfer",
              {[model](const transport::GrpcCallPtr& call, std::string_view message) {
                 auto response = answer_grpc(model, message);
                 if (!response) {
                   return call->finish(response.error().code, response.error().message);
                 }
                 call->reply(std::move(*response));
               },
               nullptr});
}

}  // namespace sluice::bench
