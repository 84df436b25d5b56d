// An HTTP server for tests, on a port of this machine that the system chooses: gives each request
// the next of its answers, and keeps what was asked. A connection is for one request.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"

namespace sluice::clients::testing {

struct Scripted {
  int status = 200;
  std::string body;
  bool silent = false;    // says nothing until the other side has gone
  std::string headers{};  // more of them: whole lines, each with its \r\n
  bool unsized = false;   // does not say how long the body is
};

class ScriptedHttp {
 public:
  explicit ScriptedHttp(std::vector<Scripted> answers)
      : answers_(std::move(answers)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), any, size) != 0 || ::listen(listener_.get(), 8) != 0 ||
        ::getsockname(listener_.get(), any, &size) != 0) {
      throw std::runtime_error("no port");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }
  ~ScriptedHttp() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // accept gives up
  }

  std::string authority() const { return "127.0.0.1:" + std::to_string(port_); }
  // Whole requests: the first line, headers and body.
  std::vector<std::string> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void serve() {
    for (const auto& answer : answers_) {
      const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      auto request = read_request(peer);
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
      }
      if (answer.silent) {
        char ignored = 0;
        while (::recv(peer.get(), &ignored, 1, 0) > 0) continue;
        continue;
      }
      const auto length = "Content-Length: " + std::to_string(answer.body.size()) + "\r\n";
      const auto text = "HTTP/1.1 " + std::to_string(answer.status) +
                        " X\r\nConnection: close\r\n" + (answer.unsized ? "" : length) +
                        answer.headers + "\r\n" + answer.body;
      ::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
  }

  // As the head says, which ends there. A request that does not say it (a GET) has no body.
  static std::size_t body_size(std::string_view request, std::size_t end) {
    constexpr std::string_view kLength = "Content-Length: ";
    const auto length = request.substr(0, end).find(kLength);
    if (length == std::string_view::npos) return 0;
    const auto from = length + kLength.size();
    return parse_uint(request.substr(from, request.find('\r', from) - from)).value_or(0);
  }

  static std::string read_request(const Fd& peer) {
    std::string out;
    char buffer[4096];
    while (true) {
      const auto end = out.find("\r\n\r\n");
      if (end != std::string::npos && out.size() >= end + 4 + body_size(out, end)) return out;
      const auto got = ::recv(peer.get(), buffer, sizeof(buffer), 0);
      if (got <= 0) return out;
      out.append(buffer, static_cast<std::size_t>(got));
    }
  }

  const std::vector<Scripted> answers_;
  const Fd listener_;
  unsigned port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;  // guarded by mutex_
  std::jthread thread_;
};

}  // namespace sluice::clients::testing
