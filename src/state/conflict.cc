#include "state/conflict.h"

#include <string>

#include "base/text.h"

namespace sluice::state {
namespace {

std::string revision_name(std::uint64_t revision) {
  return revision == 0 ? "not there" : "at revision " + std::to_string(revision);
}

}  // namespace

Failure revision_conflict(std::string_view key, std::uint64_t there, std::uint64_t expected) {
  return fail(Code::kAborted, "revision_conflict",
              "'" + printable(key) + "' is " + revision_name(there) + " and not " +
                  (expected == 0 ? "new" : revision_name(expected)) +
                  ": somebody else has changed it; read it again and decide anew");
}

}  // namespace sluice::state
