#include "core/hand_back.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/turn.h"

namespace sluice {

void resume(RequestPtr request) {
  const Onward* onward = request->onward;
  onward->resume(std::move(request));
}

void hand_back(std::span<RequestPtr> requests) {
  std::vector<RequestPtr> mine;
  while (true) {
    // The first that is still here names the loop; all of that loop go with it.
    const auto first = std::ranges::find_if(requests, [](const auto& each) { return !!each; });
    if (first == requests.end()) return;
    Turn* turn = (*first)->turn;
    for (auto it = first; it != requests.end(); ++it) {
      if (*it && (*it)->turn == turn) mine.push_back(std::move(*it));
    }
    if (turn == nullptr) {
      for (auto& each : mine) resume(std::move(each));
      mine.clear();
    } else {
      turn->post([batch = std::exchange(mine, {})]() mutable {
        for (auto& each : batch) resume(std::move(each));
      });
    }
  }
}

}  // namespace sluice
