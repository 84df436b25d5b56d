// SIGHUP: reads the configuration again, as at the start (file, environment, flags), and applies
// what can change while the server runs. A mistake anywhere changes nothing.
//
// Thread-safety: one thread.
#pragma once

#include <string>

#include "app/options.h"
#include "app/stack.h"
#include "base/log.h"
#include "frontends/settings.h"

namespace sluice::app {

log::Level log_level_of(const ServeOptions& options);
frontends::Settings settings_of(const ServeOptions& options);
repository::LiveOptions live_options_of(const ServeOptions& options);

class Reloader {
 public:
  // Where options came from; `now` is what they were read to.
  Reloader(std::string file, Node flags, ServeOptions now)
      : file_(std::move(file)), flags_(std::move(flags)), now_(std::move(now)) {}

  void reload(Stack& stack, frontends::LiveSettings& settings);
  const ServeOptions& now() const { return now_; }

 private:
  const std::string file_;
  const Node flags_;
  ServeOptions now_;
};

}  // namespace sluice::app
