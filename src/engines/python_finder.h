// Which Python runs the pickles: the one that the user names, else the first of `python3` on PATH
// and the system's that imports scikit-learn.
//
// Thread-safety: a function without state; blocks for as long as importing scikit-learn takes.
#pragma once

#include <string>

#include "base/error.h"

namespace sluice::engines {

struct Python {
  std::string path;
  std::string sklearn;  // version
};

// `wanted` is a path, a name on PATH, or empty. Errors: kUnavailable/`no_python`, since it may be
// installed meanwhile.
Result<Python> find_python(const std::string& wanted);

}  // namespace sluice::engines
