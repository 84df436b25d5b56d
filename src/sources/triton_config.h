// What is taken over from Triton's config.pbtxt: the largest batch and the file's name, and whether
// it is no model of its own but an ensemble of others. Names and dimensions are the model file's
// own. (protobuf text format; unknown fields are skipped.)
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::sources {

struct TritonConfig {
  std::optional<std::int64_t> max_batch_size;
  std::string default_model_filename;
  bool is_ensemble = false;
};

TritonConfig read_triton_config(std::string_view text);

}  // namespace sluice::sources
