// A source of one model, under a name of the caller's choosing instead of its folder's or file's.
// Where somebody else decides what the folder is called, as KServe does with /mnt/models, the
// model's name is told apart from it.
//
// Thread-safety: that of the source it wraps.
#pragma once

#include <memory>

#include "core/source.h"

namespace sluice::sources {

// Errors of `list`: kInvalidArgument/`many_models` where the source has more than one, beside its
// own.
std::unique_ptr<Source> make_named(std::unique_ptr<Source> source, ModelName name);

}  // namespace sluice::sources
