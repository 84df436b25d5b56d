// A server as it is seen from outside, over sockets: what its limits do.
#include "transport/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "transport/grpc.h"

namespace sluice::transport {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

constexpr std::size_t kFrameHead = 9;
constexpr char kReset = 3;  // HTTP/2's number for RST_STREAM

// Answers everything at once.
class Greeter final : public HttpService {
 public:
  Admission admit(const RequestHead&) override {
    Admission out;
    out.refusal = Response{};
    out.refusal->body = "hello";
    return out;
  }
  void serve(ExchangePtr) override {}
  Response refuse(std::string_view, int status, std::string_view, std::string_view) override {
    Response out;
    out.status = status;
    return out;
  }
};

// Answers a message with this many of 60 KiB.
class Flood final : public GrpcStream {
 public:
  Flood(GrpcCallPtr call, int answers) : call_(std::move(call)), answers_(answers) {}
  void on_message(std::string) override {
    for (int i = 0; i < answers_; ++i) call_->send(std::string(60 << 10, 'a'));
  }
  void on_half_close() override { call_->finish(Code::kOk, {}); }
  void on_cancel() override {}
  void on_drain() override {}

 private:
  const GrpcCallPtr call_;
  const int answers_;
};

GrpcMethod flood(int answers) {
  GrpcMethod out;
  out.streaming = [answers](GrpcCallPtr call) -> std::unique_ptr<GrpcStream> {
    return std::make_unique<Flood>(std::move(call), answers);
  };
  return out;
}

// A server with a public and a management listener.
class Served {
 public:
  explicit Served(const HttpLimits& limits) {
    methods_.add("/1", flood(1));
    methods_.add("/3", flood(3));
    Services services;
    services.http = &greeter_;
    services.grpc = &methods_;
    services.limits = limits;
    server_ = std::make_unique<Server>(std::move(services), 1);
    open_ = listen({false, true});
    management_ = listen({true, true});
    server_->start();
  }

  Fd connect() const { return connect_to(open_); }
  Fd connect_to_management() const { return connect_to(management_); }

 private:
  std::uint16_t listen(Origin origin) {
    const auto bound = server_->listen(Address{"127.0.0.1", 0}, origin, "test");
    EXPECT_TRUE(bound);
    return bound ? bound->port : 0;
  }
  // Reading from it gives up after a while.
  static Fd connect_to(std::uint16_t port) {
    Fd out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience{20, 0};
    ::setsockopt(out.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    EXPECT_EQ(::connect(out.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    return out;
  }

  Greeter greeter_;
  GrpcMethods methods_;
  std::unique_ptr<Server> server_;
  std::uint16_t open_ = 0;
  std::uint16_t management_ = 0;
};

// False where the server has closed the connection.
bool say(const Fd& socket, std::string_view bytes) {
  return ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

// Fewer bytes where no more came.
std::string hear(const Fd& socket, std::size_t size) {
  std::string out(size, '\0');
  if (size == 0) return out;
  const auto got = ::recv(socket.get(), out.data(), size, MSG_WAITALL);
  out.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return out;
}

bool is_served(const Fd& socket) {
  constexpr std::string_view kGood = "HTTP/1.1 200 OK\r\n";
  return say(socket, "GET / HTTP/1.1\r\nHost: t\r\n\r\n") && hear(socket, kGood.size()) == kGood;
}

std::string frame(char type, char flags, char stream, const std::string& payload) {
  return "\0\0"s + static_cast<char>(payload.size()) + type + flags + "\0\0\0"s + stream + payload;
}

// The beginning of an HTTP/2 connection whose client takes no byte of a body: its windows are 0.
std::string closed_windows() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s + frame(4, 0, 0, "\0\4\0\0\0\0"s);
}

// GET /, and a call of a gRPC method with one empty message that does not end (their headers as in
// RFC 7541: indexed ones, and literal ones with an indexed name).
std::string get(char stream) { return frame(1, 5, stream, "\x82\x84\x86\x41\1t"s); }
std::string call(char stream, const std::string& path) {
  const std::string head = "\x83\x86\x41\1t\x44"s + static_cast<char>(path.size()) + path;
  return frame(1, 4, stream, head + "\x5f\x10" + "application/grpc") +
         frame(0, 0, stream, "\0\0\0\0\0"s);
}

// What the next RST_STREAM says: its stream and why. Nothing where the connection ends before it.
std::string next_reset(const Fd& socket) {
  while (true) {
    const auto head = hear(socket, kFrameHead);
    if (head.size() < kFrameHead) return {};
    const auto byte = [&](std::size_t at) -> std::size_t {
      return static_cast<unsigned char>(head[at]);
    };
    const auto payload = hear(socket, (byte(0) << 16) | (byte(1) << 8) | byte(2));
    if (head[3] == kReset) return head.substr(5) + payload;
  }
}

// ENHANCE_YOUR_CALM, which gRPC takes for RESOURCE_EXHAUSTED.
std::string calmed(char stream) { return "\0\0\0"s + stream + "\0\0\0\x0b"s; }

TEST(Server, PublicConnectionsDoNotTakeThePlacesOfManagement) {
  HttpLimits limits;
  limits.connections = 2;
  const Served served(limits);
  const Fd first = served.connect();
  const Fd second = served.connect();
  EXPECT_TRUE(is_served(first));
  EXPECT_TRUE(is_served(second));
  const Fd third = served.connect();
  EXPECT_FALSE(is_served(third));
  const Fd managing = served.connect_to_management();
  EXPECT_TRUE(is_served(managing));
}

TEST(Server, AnAnswerThatNobodyTakesIsGivenUp) {
  HttpLimits limits;
  limits.unread_timeout = 100ms;
  const Served served(limits);
  const Fd client = served.connect();
  ASSERT_TRUE(say(client, closed_windows() + get(1)));
  EXPECT_EQ(next_reset(client), calmed(1));
  ASSERT_TRUE(say(client, get(3)));
  EXPECT_EQ(next_reset(client), calmed(3)) << "the connection goes on";
}

TEST(Server, OneAnswerOfEachCallMayWaitHoweverMuchDoesAlready) {
  HttpLimits limits;
  limits.output = 100 << 10;
  limits.unread_timeout = 1s;
  const Served served(limits);
  const Fd client = served.connect();
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(say(client, closed_windows() + call(1, "/1") + call(3, "/1")));
  const std::set<std::string> resets = {next_reset(client), next_reset(client)};
  EXPECT_EQ(resets, (std::set<std::string>{calmed(1), calmed(3)}));
  // By the limit of time, that is, not by that of bytes.
  EXPECT_GE(std::chrono::steady_clock::now() - began, 900ms);
}

TEST(Server, AnswersThatNobodyTakesAreBoundedByConnection) {
  HttpLimits limits;
  limits.output = 150 << 10;
  const Served served(limits);
  const Fd client = served.connect();
  ASSERT_TRUE(say(client, closed_windows() + call(1, "/3")));
  EXPECT_EQ(next_reset(client), calmed(1));
}

}  // namespace
}  // namespace sluice::transport
