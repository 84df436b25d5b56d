// `batching.pad`: requests of different lengths share a run when they are lengthened to the same
// bucket.
//
// A model of sequences has inputs such as [N, L] with a free L. A request whose free dimensions all
// have the length L is lengthened to the smallest bucket that is not below L, with the value that
// model.yaml gives (0 for masks); outputs in which the bucket's length appears at a free dimension
// are cut back to L. Whether the model's answer is the same is the model's affair: a mask tells it
// what is real. A request with several lengths, or one beyond the last bucket, stays as it is.
//
// Thread-safety: immutable; a request is worked on by its owner.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.h"
#include "core/model_config.h"
#include "core/request.h"
#include "core/signature.h"

namespace sluice::serving {

class PadPlan {
 public:
  // Nothing where `config` does not ask for it. Errors: kInvalidArgument/`bad_config` when it names
  // inputs that do not exist, gives no buckets, or the model has no free length.
  static Result<std::optional<PadPlan>> make(const Signature& signature, const ModelConfig& config);

  // Lengthens the inputs and notes it in the request, unless that would take more memory than
  // sharing a run is worth.
  void pad(Request& request) const;
  // Cuts outputs back, where the request was lengthened.
  void cut(Request& request) const;

 private:
  using Dims = std::vector<bool>;  // which dimensions of a tensor are free, but for the rows'

  struct Input {
    Dims free;
    double value = 0;
  };

  std::size_t max_rows_ = 1;  // of a run: larger requests share none
  std::vector<std::int64_t> buckets_;
  std::vector<Input> inputs_;
  std::vector<Dims> outputs_;
};

}  // namespace sluice::serving
