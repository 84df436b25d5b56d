// The methods that are built in, one function each; compress/builtin.cc lists them.
#pragma once

#include <memory>

#include "tools/compress/method.h"

namespace sluice::tools::compress {

std::unique_ptr<const Method> make_dynamic_int8();
std::unique_ptr<const Method> make_fp16();
std::unique_ptr<const Method> make_optimize();
std::unique_ptr<const Method> make_distill();
std::unique_ptr<const Method> make_prune();
std::unique_ptr<const Method> make_prune_trees();
std::unique_ptr<const Method> make_static_int8();

}  // namespace sluice::tools::compress
