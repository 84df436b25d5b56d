// The model that `sluice batch` runs, and which one that is.
//
// Thread-safety: made by one thread; the servable is for all.
#pragma once

#include <memory>
#include <string>

#include "app/stack.h"

namespace sluice::app {

struct BatchModel {
  std::unique_ptr<Stack> stack;
  std::shared_ptr<const Servable> servable;
  // Another for other files or another version; the same wherever they lie.
  std::string identity;
};

// `model`: a file, a folder or a URL, or the name of a folder in `models`. Errors: as `sluice
// predict`'s; kNotFound/`no_model`.
Result<BatchModel> open_batch_model(const std::string& model, const std::string& models,
                                    const std::string& version, const LoadFlags& load_flags,
                                    int workers);

}  // namespace sluice::app
