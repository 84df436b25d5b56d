// `sluice serve` as a child process, for commands that measure it.
//
// The child ends with its owner: by SIGTERM when this object goes, and by the kernel when the
// thread that started it ends in any other way.
//
// Thread-safety: one owner, which stays on the thread that started it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "base/error.h"

namespace sluice::tools {

class ServerProcess {
 public:
  // Starts this same binary on free ports of 127.0.0.1 and waits until it says where it listens;
  // models may still be loading. Errors: kUnavailable when it ends or is silent for a minute.
  static Result<ServerProcess> start(const std::filesystem::path& models);
  ServerProcess(ServerProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, 0)), port_(std::move(other.port_)) {}
  ServerProcess& operator=(ServerProcess&&) = delete;
  ~ServerProcess();

  const std::string& port() const { return port_; }  // of HTTP
  bool running();

 private:
  explicit ServerProcess(pid_t pid) : pid_(pid) {}
  pid_t pid_;
  std::string port_;
};

// "34567" of "listening  http 127.0.0.1:34567  grpc …"; empty where there is none.
std::string http_port_of(std::string_view line);

}  // namespace sluice::tools
