// A step of a pipeline that is a model: loaded by whichever engine knows its file, and owned by the
// step, so that it comes and goes with the pipeline.
//
// Errors: kInvalidArgument/`bad_model` and what the engine says; `not_allowed` where loading the
// file would run a program and nobody has allowed that.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/engine.h"
#include "engines/step.h"

namespace sluice::engines {

using MemberEngines = std::vector<std::pair<std::string, std::shared_ptr<const Engine>>>;

struct MemberFile {
  std::string name;
  std::string engine;  // empty: by the file
  const std::shared_ptr<const Fd>& directory;
};

Result<std::unique_ptr<Step>> load_member(const MemberFile& member, const MemberEngines& engines,
                                          const LoadOptions& options);

}  // namespace sluice::engines
