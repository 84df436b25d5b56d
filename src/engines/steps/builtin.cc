#include "engines/steps/builtin.h"

#include "engines/steps/kinds.h"

namespace sluice::engines {

void register_steps(StepKinds& kinds) {
  kinds.add("argmax", make_argmax());
  kinds.add("cast", make_cast());
  kinds.add("concat", make_concat());
  kinds.add("one_hot", make_one_hot());
  kinds.add("select", make_select());
  kinds.add("softmax", make_softmax());
  kinds.add("standardise", make_standardise());
  kinds.add("threshold", make_threshold());
  kinds.add("vocabulary", make_vocabulary());
}

}  // namespace sluice::engines
