// Pipelines: models and small steps before and after them, run as one model.
//
// A pipeline is `ensemble.yaml` (or `NAME.ensemble.yaml`), or the `ensemble:` of a model.yaml; the
// files of its steps lie beside it. It owns its members: they are loaded, tried, rolled out and
// taken back with it, and nothing that serves requests ever waits for another servable.
// docs/pipelines.md says what can be written.
//
// Thread-safety: as for every engine; a pipeline is as thread-safe as its members.
#pragma once

#include <memory>

#include "engines/member.h"

namespace sluice::engines {

// `members`: the engines that steps may use. Itself is not among them, so that pipelines do not
// hold pipelines.
std::shared_ptr<const Engine> make_ensemble(MemberEngines members);

}  // namespace sluice::engines
