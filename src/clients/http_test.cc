// Bodies that are read from a file while they are sent, to a server in this process.

#include "clients/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "base/text.h"

namespace sluice::clients {
namespace {

// Takes one connection after the other; of each it reads a request and answers 200 and what it got.
class EchoServer {
 public:
  // `requests`: of each connection, before it is closed without a word.
  explicit EchoServer(int requests) : requests_(requests) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~EchoServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

 private:
  void run() {
    while (true) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) return;
      for (int i = 0; i < requests_ && talk(connection); ++i) {
      }
      ::close(connection);
    }
  }
  static bool talk(int connection) {
    std::string text;
    std::string buffer(64 << 10, '\0');
    std::size_t length = std::string::npos;
    std::size_t head = std::string::npos;
    while (head == std::string::npos || text.size() < head + length) {
      const auto got = ::recv(connection, buffer.data(), buffer.size(), 0);
      if (got <= 0) return false;
      text.append(buffer, 0, static_cast<std::size_t>(got));
      if (head == std::string::npos && text.find("\r\n\r\n") != std::string::npos) {
        head = text.find("\r\n\r\n") + 4;
        const auto at = text.find("Content-Length: ") + 16;
        length = parse_uint(text.substr(at, text.find("\r\n", at) - at)).value_or(0);
      }
    }
    const auto body = text.substr(0, text.find(' ')) + " " + text.substr(head);
    const auto answer =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    return ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(answer.size());
  }

  const int requests_;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

Fd file_of(const std::string& text) {
  Fd out(::memfd_create("file", MFD_CLOEXEC));
  EXPECT_EQ(::write(out.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return out;
}

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * i % 251);
  return out;
}

HttpRequest put(const EchoServer& server, const Fd& fd, std::uint64_t offset,
                std::uint64_t length) {
  HttpRequest out;
  out.method = "PUT";
  out.url = server.url();
  out.file = {&fd, offset, length};
  return out;
}

TEST(HttpFile, APieceIsSentAsItLies) {
  const EchoServer server(3);
  const HttpClient client;
  const auto text = pattern(3'000'000);
  const auto fd = file_of(text);
  for (const auto& [offset, length] :
       {std::pair<std::size_t, std::size_t>{0, 3'000'000}, {1'234'567, 1'000'000}, {7, 0}}) {
    const auto answer = client.send(put(server, fd, offset, length));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(answer->body == "PUT " + text.substr(offset, length));
  }
}

// The client finds the kept connection closed when it has sent something, and begins anew.
TEST(HttpFile, BeginsAnewOnAnotherConnection) {
  const EchoServer server(1);
  const HttpClient client;
  const auto text = pattern(200'000);
  const auto fd = file_of(text);
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.send(put(server, fd, 100, 150'000));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_TRUE(answer->body == "PUT " + text.substr(100, 150'000));
  }
}

TEST(HttpFile, OneThatHasBecomeShorterIsTold) {
  const EchoServer server(1);
  const HttpClient client;
  const auto fd = file_of("0123456789");
  const auto answer = client.send(put(server, fd, 5, 6));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().reason, "unreadable");
}

TEST(HttpUrl, WhatIsNoneIsNotRepeated) {
  const std::string expected = "expected a URL that starts with http:// or https://";
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"postgresql://bob:hunter2@db/mlflow", expected + ", not with postgresql://"},
           {"file:///home/bob/mlruns", expected + ", not with file://"},
           {"bob:hunter2://x", expected},
           {"hunter2", expected},
           {"http://bob:hunter2@host/", "the URL has a user or password in it; leave it out"}}) {
    const auto url = parse_http_url(text);
    ASSERT_FALSE(url) << text;
    EXPECT_EQ(url.error().message, message);
  }
}

}  // namespace
}  // namespace sluice::clients
