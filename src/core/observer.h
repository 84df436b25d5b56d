// Somebody who wants to know how a request ended: metrics, logs, statistics.
//
// To add one: write `observers/<name>.cc` and one line in `observers/builtin.cc`. What is switched
// off is not in the list.
#pragma once

#include <memory>
#include <vector>

namespace sluice {

struct Request;

// Thread-safety: `on_finish` is called from every thread that answers requests.
class Observer {
 public:
  virtual ~Observer() = default;
  // Called once for each request, before its answer is handed over: the last moment at which its
  // inputs can be read, since the transport may take the receive buffer back with the answer. What
  // is to last until `on_finish` goes into `aside`. The client waits for this: copying, no more.
  virtual void before_answer(Request& request) const noexcept { (void)request; }
  // Called once for each request, last, after its answer was handed to the transport. Whatever
  // stage it got to is told by its time stamps, `servable` and `reply.error`. Must not block.
  virtual void on_finish(const Request& request) const noexcept = 0;
};

using Observers = std::vector<std::unique_ptr<const Observer>>;

}  // namespace sluice
