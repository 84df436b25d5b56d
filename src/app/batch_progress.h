// What `sluice batch` says while it works, and at its end.
//
// Thread-safety: one thread.
#pragma once

#include <chrono>
#include <string>

#include "tools/batch/staging.h"

namespace sluice::app {

// A bar on a terminal; elsewhere a line every few seconds, as JSON where that is wanted.
class BatchProgress {
 public:
  BatchProgress(const tools::batch::Counts& counts, const tools::batch::Transfer& transfer,
                bool json);
  // Called a few times a second.
  void show();
  // The bar is taken away.
  void end();
  double seconds() const;

 private:
  void show_bar(double seconds);
  void show_line(double seconds) const;
  void show_json(double seconds) const;

  const tools::batch::Counts& counts_;
  const tools::batch::Transfer& transfer_;
  const bool json_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point began_;
  double next_ = 0;
  double work_began_ = 0;  // when the last download had ended
  bool drawn_ = false;
};

// `resume`: how to go on where it was stopped.
void print_summary(const tools::batch::Summary& summary, double seconds, bool json,
                   const std::string& what_next);

}  // namespace sluice::app
