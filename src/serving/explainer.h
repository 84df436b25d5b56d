// Explains predictions beside the traffic: on one thread that gets only what nobody else wants of
// the processors, behind a short queue.
//
// A request comes here once it is answered, waits its turn, and goes on through its `onward`. Where
// there is no room, or no time before its deadline, its answer leaves without an explanation and
// with a warning. The thread is started with the first request.
//
// Thread-safety: every function from any thread; `close` once.
#pragma once

#include <chrono>
#include <memory>

#include "core/explanation.h"
#include "core/request.h"
#include "serving/explain_rows.h"

namespace sluice::serving {

class Explainer {
 public:
  static constexpr std::size_t kMostWaiting = 64;

  // `background`: see explain_rows; may be null, else it outlives this and every explanation.
  explicit Explainer(const Background* background = nullptr);
  ~Explainer();
  Explainer(const Explainer&) = delete;
  Explainer& operator=(const Explainer&) = delete;

  // Of a request that is answered. True: it goes on here, explained (where no loop waits for this
  // thread) or with a warning. False: it was taken, and goes on later.
  bool explain(RequestPtr& request);
  // Called a few times a second: those that wait and are late go on.
  void sweep(TimePoint now);
  std::size_t waiting() const;
  // What waits goes on unexplained. False: the explanation that is under way has not ended within
  // `grace` and is left to itself.
  bool close(std::chrono::milliseconds grace);

 private:
  struct Line;  // shared with the thread, which may outlive this
  const std::shared_ptr<Line> line_;
};

}  // namespace sluice::serving
